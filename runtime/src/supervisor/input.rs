//! The workload's standard input: what clients type, carried to the guest.
//!
//! Without a terminal the end of a client's input is the end of the workload's (Docker's StdinOnce). A terminal has no end:
//! who detaches may attach again.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Bytes carried at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// The guest's end, with those who write to it.
#[derive(Debug, Default)]
pub(super) struct Input {
    guest: Option<Arc<Mutex<UnixStream>>>,
    tty: bool,
    /// Connected before there was a guest.
    waiting: Vec<UnixStream>,
}

impl Input {
    pub(super) fn new(tty: bool) -> Self {
        Self { tty, ..Self::default() }
    }

    /// Adds a client; each has a thread.
    pub(super) fn add(&mut self, client: UnixStream) {
        match &self.guest {
            None => self.waiting.push(client),
            Some(guest) => carry(client, Arc::clone(guest), self.tty),
        }
    }

    /// The workload that reads runs.
    pub(super) fn open(&mut self, guest: UnixStream) {
        self.guest = Some(Arc::new(Mutex::new(guest)));
        for client in std::mem::take(&mut self.waiting) {
            self.add(client);
        }
    }

    /// The workload has ended; the next one has an input of its own.
    pub(super) fn close(&mut self) {
        self.guest = None;
    }
}

fn carry(mut client: UnixStream, guest: Arc<Mutex<UnixStream>>, tty: bool) {
    thread::spawn(move || {
        let lock = || guest.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match client.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => {
                    if lock().write_all(buffer.get(..length).unwrap_or_default()).is_err() {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        if !tty {
            // A workload that is gone has no use for the end of its input.
            let _ = lock().shutdown(Shutdown::Write);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sends_arrives_with_its_end() {
        let mut input = Input::new(false);
        let (mut early, far) = UnixStream::pair().unwrap();
        input.add(far);
        early.write_all(b"typed early").unwrap();
        drop(early);
        let (mut guest, near) = UnixStream::pair().unwrap();
        input.open(near);
        let mut seen = String::new();
        guest.read_to_string(&mut seen).unwrap();
        assert_eq!(seen, "typed early");
    }

    #[test]
    fn a_terminal_outlives_its_clients() {
        let mut input = Input::new(true);
        let (mut guest, near) = UnixStream::pair().unwrap();
        input.open(near);
        for text in [b"first", b"again"] {
            let (mut client, far) = UnixStream::pair().unwrap();
            input.add(far);
            client.write_all(text).unwrap();
            drop(client);
            let mut seen = [0; 5];
            guest.read_exact(&mut seen).unwrap();
            assert_eq!(&seen, text);
        }
    }
}
