//! How the host's programs call the guest: a unix socket, and one line that names the guest's port.
//!
//! `CONNECT <port>\n` from the program; `OK <host port>\n` to it once the guest accepts (`connection`), or the end of
//! the stream when it does not. The line is read byte by byte, so that nothing after it is taken from the connection.
//!
//! Until the guest's driver is up nobody is accepted: callers wait in the listening socket's own queue, in order.
//!
//! Trust: a caller could open the socket, which lies in a private directory, but may be slow or wrong: callers that have
//! not finished their line are few at a time and have to finish it soon.

use std::collections::HashMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::VsockError;

/// How long a caller may take for its line.
const LINE_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest line: `CONNECT 4294967295\n`.
const MAX_LINE_BYTES: usize = 19;

/// The listening socket and the callers that have not finished their line.
#[derive(Debug)]
pub(super) struct Listener {
    socket: UnixListener,
    /// Not known to have no caller waiting.
    acceptable: bool,
    callers: HashMap<RawFd, Caller>,
}

#[derive(Debug)]
struct Caller {
    stream: UnixStream,
    line: Vec<u8>,
    deadline: Instant,
}

/// What became of a caller.
#[derive(Debug)]
pub(super) enum Call {
    /// Its line is not complete.
    Waiting,
    /// It asks for this port of the guest.
    Port(UnixStream, u32),
    /// It is gone, or its line is wrong.
    Refused(UnixStream),
}

impl Listener {
    /// Listens on `path`, in place of a socket that an earlier process left there; anything else there is refused.
    pub(super) fn new(path: &Path) -> Result<Self, VsockError> {
        let error = |source| VsockError::Path { path: path.to_owned(), source };
        match fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => fs::remove_file(path).map_err(error)?,
            Ok(_) => return Err(VsockError::NotASocket(path.to_owned())),
            Err(missing) if missing.kind() == ErrorKind::NotFound => {}
            Err(other) => return Err(error(other)),
        }
        let socket = UnixListener::bind(path).map_err(error)?;
        socket.set_nonblocking(true).map_err(error)?;
        Ok(Self { socket, acceptable: true, callers: HashMap::new() })
    }

    /// The socket, to register it for edges.
    pub(super) fn socket(&self) -> &UnixListener {
        &self.socket
    }

    /// Epoll reports the socket.
    pub(super) fn ready(&mut self) {
        self.acceptable = true;
    }

    /// Whether somebody may wait to be accepted.
    pub(super) fn is_ready(&self) -> bool {
        self.acceptable
    }

    /// Callers that have not finished their line.
    pub(super) fn callers(&self) -> usize {
        self.callers.len()
    }

    /// Whether `fd` is a caller's.
    pub(super) fn knows(&self, fd: RawFd) -> bool {
        self.callers.contains_key(&fd)
    }

    /// The next caller, to be registered for edges of input. `Ok(None)` when nobody waits; an error when there is no
    /// descriptor for it: try again later.
    pub(super) fn accept(&mut self, now: Instant) -> io::Result<Option<&UnixStream>> {
        while self.acceptable {
            match self.socket.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true)?;
                    let caller = Caller { stream, line: Vec::new(), deadline: now + LINE_TIMEOUT };
                    let fd = caller.stream.as_raw_fd();
                    return Ok(Some(&self.callers.entry(fd).insert_entry(caller).into_mut().stream));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.acceptable = false,
                // Linux reports none of the caller's own errors here for unix sockets; EINTR and the like pass.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Reads on in a caller's line.
    pub(super) fn hear(&mut self, fd: RawFd, hung_up: bool) -> Call {
        let Some(mut caller) = self.callers.remove(&fd) else { return Call::Waiting };
        if hung_up {
            return Call::Refused(caller.stream);
        }
        let mut byte = [0];
        while caller.line.len() < MAX_LINE_BYTES {
            // As files are read: what sockets have of their own would be one more call for the filter to let through.
            match rustix::io::read(&caller.stream, &mut byte) {
                Ok(1..) => caller.line.extend(byte),
                Ok(0) => return Call::Refused(caller.stream),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.callers.insert(fd, caller);
                    return Call::Waiting;
                }
                Err(_) => return Call::Refused(caller.stream),
            }
            if byte == *b"\n" {
                break;
            }
        }
        match guest_port(&caller.line) {
            Some(port) => Call::Port(caller.stream, port),
            None => Call::Refused(caller.stream),
        }
    }

    /// Takes out the callers that were too slow.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<UnixStream> {
        self.callers.extract_if(|_, caller| caller.deadline <= now).map(|(_, caller)| caller.stream).collect()
    }

    /// Takes out all callers.
    pub(super) fn clear(&mut self) -> Vec<UnixStream> {
        self.callers.drain().map(|(_, caller)| caller.stream).collect()
    }

    /// Takes out one caller.
    pub(super) fn drop_caller(&mut self, fd: RawFd) {
        self.callers.remove(&fd);
    }
}

/// The port in `CONNECT <port>\n`: decimal, without sign or leading zeroes, not VMADDR_PORT_ANY.
fn guest_port(line: &[u8]) -> Option<u32> {
    let digits = line.strip_prefix(b"CONNECT ")?.strip_suffix(b"\n")?;
    let text = std::str::from_utf8(digits).ok()?;
    let port = text.parse::<u32>().ok().filter(|port| *port != u32::MAX)?;
    (port.to_string() == text).then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_decimal_port_is_taken() {
        assert_eq!(guest_port(b"CONNECT 0\n"), Some(0));
        assert_eq!(guest_port(b"CONNECT 1024\n"), Some(1024));
        assert_eq!(guest_port(b"CONNECT 4294967294\n"), Some(4_294_967_294));
        for line in [
            "",
            "\n",
            "CONNECT\n",
            "CONNECT \n",
            "CONNECT 1",
            "CONNECT 1 \n",
            "CONNECT +1\n",
            "CONNECT 01\n",
            "CONNECT -1\n",
            "CONNECT 4294967295\n",
            "CONNECT 4294967296\n",
            "connect 1\n",
            " CONNECT 1\n",
            "CONNECT 1\r\n",
        ] {
            assert_eq!(guest_port(line.as_bytes()), None, "{line:?}");
        }
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_file_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vsock");
        drop(Listener::new(&path).unwrap());
        Listener::new(&path).unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "kept").unwrap();
        assert!(matches!(Listener::new(&file), Err(VsockError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    }
}
