//! One stdio stream of a process in the guest, as a unix socket on the host.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use holm_protocol::agent::{CONTROL_PORT, STREAM_PORT};
use holm_protocol::stream::StreamHeader;

/// How long the VMM and the agent may take to accept a stream.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest answer to `CONNECT`: `OK 4294967295\n`.
const MAX_ANSWER_BYTES: usize = 14;

/// Why a stream could not be attached.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The VMM's socket failed.
    #[error("cannot reach the guest's {0} stream", kind.kind)]
    Io {
        /// Which stream.
        kind: Box<StreamHeader>,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The guest does not take the stream.
    #[error("the guest refused its {0} stream", kind.kind)]
    Refused {
        /// Which stream.
        kind: Box<StreamHeader>,
    },
}

/// A stream that was asked for. The guest's kernel accepts it whatever its agent does meanwhile.
#[derive(Debug)]
pub struct PendingStream {
    header: StreamHeader,
    stream: UnixStream,
}

impl PendingStream {
    /// Asks for a stream through the VMM's vsock socket (see `VsockConfig`), of a process that may be yet to be made.
    ///
    /// # Errors
    /// When the VMM cannot be reached.
    pub fn ask(vsock_socket: &Path, header: StreamHeader) -> Result<Self, StreamError> {
        let asked = UnixStream::connect(vsock_socket).and_then(|mut stream| {
            stream.set_read_timeout(Some(ACCEPT_TIMEOUT))?;
            stream.write_all(format!("CONNECT {STREAM_PORT}\n").as_bytes())?;
            Ok(stream)
        });
        match asked {
            Ok(stream) => Ok(Self { header, stream }),
            Err(source) => Err(StreamError::Io { kind: Box::new(header), source }),
        }
    }

    /// Waits until it is accepted. The process must have been made.
    ///
    /// # Errors
    /// When the VMM or the guest does not accept it.
    pub fn connected(mut self) -> Result<UnixStream, StreamError> {
        match self.introduce() {
            Ok(true) => Ok(self.stream),
            Ok(false) => Err(StreamError::Refused { kind: Box::new(self.header) }),
            Err(source) => Err(StreamError::Io { kind: Box::new(self.header), source }),
        }
    }

    /// Says which stream it is, once it is accepted; whether it is.
    fn introduce(&mut self) -> io::Result<bool> {
        if !read_answer(&mut self.stream)?.starts_with(b"OK ") {
            return Ok(false);
        }
        self.stream.set_read_timeout(None)?;
        self.stream.write_all(self.header.to_string().as_bytes())?;
        Ok(true)
    }
}

/// Connects one stream of a process that was made.
///
/// # Errors
/// When the VMM or the guest does not accept it.
pub fn connect(vsock_socket: &Path, header: StreamHeader) -> Result<UnixStream, StreamError> {
    PendingStream::ask(vsock_socket, header)?.connected()
}

/// One more connection to the agent of a guest, which has called before.
///
/// # Errors
/// The VMM or the guest does not accept it.
pub fn connect_agent(vsock_socket: &Path) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(vsock_socket)?;
    stream.set_read_timeout(Some(ACCEPT_TIMEOUT))?;
    stream.write_all(format!("CONNECT {CONTROL_PORT}\n").as_bytes())?;
    if !read_answer(&mut stream)?.starts_with(b"OK ") {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    stream.set_read_timeout(None)?;
    Ok(stream)
}

/// Reads up to the newline and not a byte further: what follows belongs to the stream.
fn read_answer(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut byte = [0];
    while answer.len() < MAX_ANSWER_BYTES && stream.read(&mut byte)? == 1 {
        answer.push(byte[0]);
        if byte[0] == b'\n' {
            break;
        }
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use holm_protocol::stream::StreamKind;
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixListener;

    fn header() -> StreamHeader {
        StreamHeader { container_id: "c".into(), process_id: String::new(), kind: StreamKind::Stdout }
    }

    fn answering(answer: &'static str) -> (tempfile::TempDir, std::thread::JoinHandle<String>) {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("vsock")).unwrap();
        let thread = std::thread::spawn(move || {
            let mut reader = BufReader::new(listener.accept().unwrap().0);
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if !answer.is_empty() {
                reader.get_mut().write_all(answer.as_bytes()).unwrap();
                reader.read_line(&mut line).unwrap();
            }
            line
        });
        (dir, thread)
    }

    #[test]
    fn the_handshake_leaves_the_streams_bytes_alone() {
        let (dir, thread) = answering("OK 1073741824\nfirst bytes");
        let mut stream = connect(&dir.path().join("vsock"), header()).unwrap();
        let mut bytes = [0; 11];
        stream.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"first bytes");
        assert_eq!(thread.join().unwrap(), "CONNECT 1025\nc - stdout\n");
    }

    #[test]
    fn a_refusal_is_an_error() {
        let (dir, thread) = answering("");
        assert!(matches!(connect(&dir.path().join("gone"), header()), Err(StreamError::Io { .. })));
        let refused = connect(&dir.path().join("vsock"), header());
        assert!(matches!(refused, Err(StreamError::Refused { .. })));
        assert_eq!(thread.join().unwrap(), "CONNECT 1025\n");
    }
}
