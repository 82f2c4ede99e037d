//! What the supervisor's threads tell its main one.

use std::os::unix::net::UnixStream;
use std::sync::mpsc::Sender;

use super::protocol::{Hello, Request};
use crate::sandbox::{AgentError, BootEvents, Exit, VmmEnd};

/// Something happened.
#[derive(Debug)]
pub(super) enum Event {
    /// The agent can be spoken to.
    AgentConnected(UnixStream),
    /// The VM is gone.
    VmmEnded(VmmEnd),
    /// A client connected, for this purpose.
    Client(Hello, UnixStream),
    /// A client asks.
    Request(Request),
    /// A control client went away.
    ClientGone(u64),
    /// The workload ended, or the agent was lost.
    WorkloadEnded(Result<Exit, AgentError>),
}

/// Sends VM events into the channel.
#[derive(Clone)]
pub(super) struct EventSender(pub(super) Sender<Event>);

impl BootEvents for EventSender {
    fn agent_connected(&self, connection: UnixStream) {
        // A closed channel means that the supervisor is past caring.
        let _ = self.0.send(Event::AgentConnected(connection));
    }

    fn vmm_ended(&self, end: VmmEnd) {
        let _ = self.0.send(Event::VmmEnded(end));
    }
}
