//! What a client and a supervisor say to each other: JSON, a line per message.
//!
//! The first line of a connection is a [`Hello`]. A stream's connection carries raw bytes after it; a control
//! connection carries [`Request`]s to the supervisor and [`Report`]s from it.

use std::io::{self, BufRead, Read, Write};

use holm_protocol::stream::StreamKind;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Longest line, in bytes.
const MAX_LINE_BYTES: u64 = 16 << 10;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hello {
    /// Requests and reports.
    Control,
    /// Bytes for the workload.
    Stdin,
    /// Bytes of the workload.
    Stdout,
    /// Bytes of the workload.
    Stderr,
}

impl From<StreamKind> for Hello {
    fn from(kind: StreamKind) -> Self {
        match kind {
            StreamKind::Stdin => Self::Stdin,
            StreamKind::Stdout => Self::Stdout,
            StreamKind::Stderr => Self::Stderr,
        }
    }
}

/// What a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Let the workload run; streams that belong to it were connected before.
    Start,
    /// Signal the workload.
    Signal(i32),
    /// The terminal's size.
    Resize {
        /// Width in characters.
        columns: u16,
        /// Height in characters.
        rows: u16,
    },
    /// End the VM without ado.
    Kill,
}

/// What the supervisor tells its clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// The workload runs.
    Started,
    /// It ended, all of its output was delivered, and the container is in its final state.
    Exited {
        /// 0 to 255.
        code: u8,
    },
    /// The container did not start, or its VM ended early.
    Failed {
        /// 125, 126 or 127.
        code: u8,
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
        let endless = vec![b'['; 1 << 20];
        assert!(receive::<Hello>(&mut endless.as_slice()).is_err());
    }
}
