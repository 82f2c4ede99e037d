//! Files of the container to or from a client: a thread for each transfer, which splices the client's stream to the guest's.
//!
//! ```text
//!   Hello::Transfer ──> its stream connects ──> agent's call and stream ──> all bytes moved, client told how it ended
//! ```
//!
//! A client that goes away ends its transfer: the guest finds its stream closed.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use holm_protocol::stream::{StreamHeader, StreamKind};

use super::error::SupervisorError;
use super::exec::ExecEvent;
use super::protocol::{self, Report};
use crate::sandbox::{AgentClient, TransferRequest, connect_stream};

/// How long a client may take to connect its stream.
const STREAM_TIMEOUT: Duration = Duration::from_secs(10);

/// What the thread works with.
pub(super) struct TransferTask {
    pub(super) agent: AgentClient,
    pub(super) container_id: String,
    pub(super) vsock_socket: PathBuf,
    pub(super) request: TransferRequest,
}

impl TransferTask {
    /// Carries the transfer out and tells `client`; the returned channel takes its stream.
    pub(super) fn spawn(self, client: UnixStream) -> Sender<ExecEvent> {
        let (sender, events) = mpsc::channel();
        thread::spawn(move || {
            let report = match self.run(&events) {
                Ok(()) => Report::Done,
                Err(error) => Report::Refused { message: error.message() },
            };
            // A client that went away need not be told.
            let _ = protocol::send(&client, &report);
            let _ = client.shutdown(Shutdown::Both);
        });
        sender
    }

    fn run(&self, events: &Receiver<ExecEvent>) -> Result<(), SupervisorError> {
        let stream = loop {
            match events.recv_timeout(STREAM_TIMEOUT) {
                Ok(ExecEvent::Stream(StreamKind::Files, stream)) => break stream,
                Ok(_) => {}
                Err(_) => return Err(SupervisorError::Abandoned),
            }
        };
        if !self.request.pause {
            return self.transfer(stream);
        }
        self.agent.freeze()?;
        let result = self.transfer(stream);
        self.agent.thaw()?;
        result
    }

    fn transfer(&self, client: UnixStream) -> Result<(), SupervisorError> {
        let header = StreamHeader {
            container_id: self.container_id.clone(),
            process_id: self.request.id.clone(),
            kind: StreamKind::Files,
        };
        let guest = connect_stream(&self.vsock_socket, header)?;
        let to_guest = self.request.what.is_to_guest();
        let ending = client.try_clone();
        let carrier = thread::spawn(move || {
            let (from, to) = if to_guest { (&client, &guest) } else { (&guest, &client) };
            carry(from, to);
        });
        let result = self.agent.transfer(&self.request);
        if to_guest && let Ok(client) = ending {
            // What the guest has not taken by now it will not take.
            let _ = client.shutdown(Shutdown::Both);
        }
        // A carrier that panicked has nothing more to deliver.
        let _ = carrier.join();
        Ok(result?)
    }
}

/// Everything, and then the end; where the reader has gone, the writer learns it.
fn carry(mut from: &UnixStream, mut to: &UnixStream) {
    let carried = io::copy(&mut from, &mut to);
    // Sockets that are closed already need no closing.
    let _ = to.shutdown(Shutdown::Write);
    if carried.is_err() {
        let _ = from.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn bytes_and_the_end_of_file_arrive() {
        let ((mut source, from), (to, mut sink)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        let carrier = thread::spawn(move || carry(&from, &to));
        source.write_all(b"bytes").unwrap();
        drop(source);
        let mut text = String::new();
        sink.read_to_string(&mut text).unwrap();
        carrier.join().unwrap();
        assert_eq!(text, "bytes");
    }

    #[test]
    fn a_reader_that_leaves_ends_the_writer() {
        let ((mut source, from), (to, sink)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        drop(sink);
        let carrier = thread::spawn(move || carry(&from, &to));
        let endless = [0; 64 << 10];
        while source.write_all(&endless).is_ok() {}
        carrier.join().unwrap();
    }
}
