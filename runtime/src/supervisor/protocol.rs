//! What a client and a supervisor say to each other: JSON, a line per message.
//!
//! The first line of a connection is a [`Hello`]. A stream's connection carries raw bytes after it; on a control
//! connection, and on one that executes, [`Request`]s go to the supervisor and [`Report`]s come from it.

use std::io::{self, BufRead, Read, Write};

use holm_protocol::stream::StreamKind;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::bundle::ExecRequest;
use crate::checkpoint::CheckpointPlace;
use crate::container::ContainerId;
use crate::container::settings::{Limits, NetworkConnection};
use crate::sandbox::{FileStatus, ProcessUsage, TransferRequest, Usage};

/// Longest line, in bytes: what execve(2) takes, or the longest list of processes, and JSON's quotes.
const MAX_LINE_BYTES: u64 = 32 << 20;

/// What a connection is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hello {
    /// Requests and reports about the container.
    Control,
    /// One more process in the container, and requests and reports about it. Its streams are connected after this.
    Exec(Box<ExecRequest>),
    /// Files of the container; the stream that they move over is connected after this. Answered when all has moved.
    Transfer(Box<TransferRequest>),
    /// What a path of the container refers to. Answered with [`Report::File`].
    Stat {
        /// From the container's root.
        path: String,
        /// Follows a symbolic link that the path ends with.
        follow: bool,
    },
    /// One more network. Answered when the container is on it.
    Connect(Box<NetworkConnection>),
    /// One network less. Answered when the container is off it.
    Disconnect {
        /// Its name or id.
        network: String,
    },
    /// A checkpoint. Answered when it is there.
    Checkpoint(Box<CheckpointRequest>),
    /// Bytes of a transfer.
    Files(String),
    /// Bytes for a process: the workload (empty), or one that is executed beside it.
    Stdin(String),
    /// Bytes of a process.
    Stdout(String),
    /// Bytes of a process.
    Stderr(String),
}

impl Hello {
    /// The beginning of a stream's connection.
    #[must_use]
    pub fn stream(kind: StreamKind, process: &str) -> Self {
        match kind {
            StreamKind::Stdin => Self::Stdin(process.to_owned()),
            StreamKind::Stdout => Self::Stdout(process.to_owned()),
            StreamKind::Stderr => Self::Stderr(process.to_owned()),
            StreamKind::Files => Self::Files(process.to_owned()),
        }
    }
}

/// A checkpoint that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointRequest {
    /// The container to which it will belong: this one, or a fork of it.
    pub owner: ContainerId,
    /// What it is called, and where it is put.
    pub place: CheckpointPlace,
    /// Whether the container goes on afterwards; otherwise it ends.
    pub leave_running: bool,
}

/// What a client asks. On a connection that executes, only signals and sizes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Let the workload run; streams that belong to it were connected before.
    Start,
    /// Signal the process. Answered.
    Signal(i32),
    /// The terminal's size.
    Resize {
        /// Width in characters.
        columns: u16,
        /// Height in characters.
        rows: u16,
    },
    /// Signal the workload, and kill it if it still runs after a while. It is not started again.
    Stop {
        /// The number of the signal.
        signal: i32,
        /// How long to wait; `None` for ever.
        grace_s: Option<u32>,
    },
    /// Stop every process of the container. Answered.
    Pause,
    /// Let them go on. Answered.
    Unpause,
    /// What runs in the container. Answered with [`Report::Processes`].
    Processes,
    /// What it uses. Answered with [`Report::Usage`].
    Usage,
    /// Change the container's limits. Answered.
    Update(Box<Limits>),
    /// End the VM without ado; the container is not started again.
    Kill,
}

/// What the supervisor tells its clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// The process runs.
    Started,
    /// It ended and all of its output was delivered; the container, if it is the container's, is in its final state unless
    /// its restart policy starts it again.
    Exited {
        /// 0 to 255.
        code: u8,
    },
    /// It did not start, or its VM ended early.
    Failed {
        /// 125, 126 or 127.
        code: u8,
        /// For the user.
        message: String,
    },
    /// The container's processes.
    Processes(Vec<ProcessUsage>),
    /// What the container uses.
    Usage(Usage),
    /// What a file of the container's is; `None` when there is none.
    File(Option<FileStatus>),
    /// What this client asked for was done.
    Done,
    /// It was not.
    Refused {
        /// For the user.
        message: String,
    },
}

/// Writes one message.
///
/// # Errors
/// When the connection fails.
pub fn send<T: Serialize>(mut connection: impl Write, message: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    connection.write_all(&line)
}

/// Reads one message; `None` at the end of the connection.
///
/// # Errors
/// When the connection fails or the line is no message.
pub fn receive<T: DeserializeOwned>(connection: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    connection.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(&line).map(Some).map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_wire() {
        let mut wire = Vec::new();
        send(&mut wire, &Hello::Control).unwrap();
        send(&mut wire, &Request::Resize { columns: 80, rows: 24 }).unwrap();
        send(&mut wire, &Report::Failed { code: 127, message: "a\nb".into() }).unwrap();
        let mut wire = wire.as_slice();
        assert_eq!(receive(&mut wire).unwrap(), Some(Hello::Control));
        assert_eq!(receive(&mut wire).unwrap(), Some(Request::Resize { columns: 80, rows: 24 }));
        assert_eq!(receive(&mut wire).unwrap(), Some(Report::Failed { code: 127, message: "a\nb".into() }));
        assert_eq!(receive::<Hello>(&mut wire).unwrap(), None);
    }

    #[test]
    fn an_endless_line_is_refused() {
        let endless = vec![b'['; 40 << 20];
        assert!(receive::<Hello>(&mut endless.as_slice()).is_err());
    }
}
