//! What the supervisor's threads tell its main one.

use std::os::unix::net::UnixStream;
use std::sync::mpsc::Sender;
use std::time::Instant;

use super::protocol::{Hello, Report, Request};
use crate::container::Probe;
use crate::sandbox::{AgentError, BootEvents, Exit, VmmEnd};

/// Which start of the container something belongs to: what comes late from an earlier one is no news.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Life(pub(super) u32);

/// Something happened.
#[derive(Debug)]
pub(super) enum Event {
    /// The agent can be spoken to.
    AgentConnected(Life, UnixStream),
    /// The VM is gone.
    VmmEnded(Life, VmmEnd),
    /// There is a checkpoint, and the VM that stands still since then is to end.
    Saved(Life),
    /// The workload ended, or the agent was lost.
    WorkloadEnded(Life, Result<Exit, AgentError>),
    /// A client connected, for this purpose.
    Client(Hello, UnixStream),
    /// The control client of this number asks.
    Request(u64, Request),
    /// What a control client asked was found out.
    Answer(u64, Report),
    /// A healthcheck that began then has ended.
    Probed(Life, Probe, Instant),
    /// A control client went away.
    ClientGone(u64),
}

/// Sends the events of one VM into the channel.
#[derive(Clone)]
pub(super) struct EventSender(pub(super) Life, pub(super) Sender<Event>);

impl BootEvents for EventSender {
    fn agent_connected(&self, connection: UnixStream) {
        // A closed channel means that the supervisor is past caring.
        let _ = self.1.send(Event::AgentConnected(self.0, connection));
    }

    fn vmm_ended(&self, end: VmmEnd) {
        let _ = self.1.send(Event::VmmEnded(self.0, end));
    }
}
