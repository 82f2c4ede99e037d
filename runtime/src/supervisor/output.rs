//! Carries the workload's output from the guest to clients, complete and in order (M30).
//!
//! One thread per stream. A slow client slows the workload down, as a slow reader of a pipe does; a client that goes away
//! loses its copy and nobody else's. Without a client the output is read and dropped, so the workload never blocks.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::logs::StreamLog;

/// Bytes carried at a time.
const BUFFER_BYTES: usize = 256 << 10;

/// An output stream with its readers.
#[derive(Debug, Default)]
pub(super) struct Output {
    clients: Arc<Mutex<Vec<UnixStream>>>,
    carrier: Option<JoinHandle<()>>,
}

impl Output {
    /// Adds a reader.
    pub(super) fn add(&self, client: UnixStream) {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).push(client);
    }

    /// Starts to carry what the guest sends, into the log too if there is one.
    pub(super) fn carry(&mut self, guest: UnixStream, log: Option<StreamLog>) {
        let clients = Arc::clone(&self.clients);
        self.carrier = Some(thread::spawn(move || carry(guest, log, &clients)));
    }

    /// Waits until the guest's end of file was reached and every reader has what came before it.
    pub(super) fn drain(&mut self) {
        if let Some(carrier) = self.carrier.take() {
            // A carrier that panicked has nothing more to deliver.
            let _ = carrier.join();
        }
    }

    /// Drains, and tells every reader that this is the end.
    pub(super) fn finish(&mut self) {
        self.drain();
        for client in self.clients.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = client.shutdown(Shutdown::Both);
        }
    }
}

fn carry(mut guest: UnixStream, mut log: Option<StreamLog>, clients: &Mutex<Vec<UnixStream>>) {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let length = match guest.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let bytes = buffer.get(..length).unwrap_or_default();
        if let Some(log) = &mut log {
            log.write(bytes);
        }
        // Taken out while writing, so that a slow reader does not keep others from being added.
        let mut writing = std::mem::take(&mut *clients.lock().unwrap_or_else(PoisonError::into_inner));
        writing.retain_mut(|client| client.write_all(bytes).is_ok());
        let mut list = clients.lock().unwrap_or_else(PoisonError::into_inner);
        writing.append(&mut list);
        *list = writing;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reader_gets_every_byte_and_then_the_end() {
        let (mut guest, host) = UnixStream::pair().unwrap();
        let mut output = Output::default();
        let mut readers = Vec::new();
        for _ in 0..2 {
            let (near, mut far) = UnixStream::pair().unwrap();
            output.add(near);
            readers.push(thread::spawn(move || {
                let mut bytes = Vec::new();
                far.read_to_end(&mut bytes).unwrap();
                bytes
            }));
        }
        let (near, far) = UnixStream::pair().unwrap();
        output.add(near);
        drop(far);
        output.carry(host, None);
        let sent: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        guest.write_all(&sent).unwrap();
        drop(guest);
        output.finish();
        for reader in readers {
            assert!(reader.join().unwrap() == sent);
        }
    }
}
