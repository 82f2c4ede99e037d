//! The clients of a supervisor: accepting them, and telling the control clients what happens.

use std::io::BufReader;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use super::event::Event;
use super::protocol::{self, Hello, Report, Request};

/// How long a client may take to say what it wants; others wait meanwhile.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// Accepts clients until the listener fails; every one becomes an event, in the order in which they connected.
pub(super) fn accept(listener: &UnixListener, events: &Sender<Event>) {
    while let Ok((connection, _)) = listener.accept() {
        if let Some(hello) = hello(&connection)
            && events.send(Event::Client(hello, connection)).is_err()
        {
            return;
        }
    }
}

/// The first line and not a byte more: a stream's data follows it.
fn hello(connection: &UnixStream) -> Option<Hello> {
    connection.set_read_timeout(Some(HELLO_TIMEOUT)).ok()?;
    // Unbuffered: a byte at a time, for one short line.
    let mut reader = BufReader::with_capacity(1, connection);
    let hello = protocol::receive(&mut reader).ok()??;
    connection.set_read_timeout(None).ok()?;
    Some(hello)
}

/// The control clients.
#[derive(Debug, Default)]
pub(super) struct ControlClients {
    clients: Vec<(u64, UnixStream)>,
    next: u64,
}

impl ControlClients {
    /// Adds one, and starts to read its requests.
    pub(super) fn add(&mut self, connection: UnixStream, events: Sender<Event>) {
        let number = self.next;
        self.next += 1;
        let Ok(reading) = connection.try_clone() else { return };
        self.clients.push((number, connection));
        thread::spawn(move || {
            let mut reader = BufReader::new(reading);
            while let Ok(Some(request)) = protocol::receive::<Request>(&mut reader) {
                if events.send(Event::Request(number, request)).is_err() {
                    return;
                }
            }
            let _ = events.send(Event::ClientGone(number));
        });
    }

    /// Forgets one that went away.
    pub(super) fn remove(&mut self, number: u64) {
        self.clients.retain(|(n, _)| *n != number);
    }

    /// Whether nobody listens.
    pub(super) fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Tells one.
    pub(super) fn answer(&mut self, number: u64, report: &Report) {
        self.clients.retain(|(n, connection)| *n != number || protocol::send(connection, report).is_ok());
    }

    /// Tells all; one that cannot be told has gone.
    pub(super) fn tell(&mut self, report: &Report) {
        self.clients.retain(|(_, connection)| protocol::send(connection, report).is_ok());
    }

    /// Ends the conversations.
    pub(super) fn close(&mut self) {
        for (_, connection) in self.clients.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}
