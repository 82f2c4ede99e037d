//! The streams of one process: which the host may attach, and how many outputs still have something to say.
//!
//! ```text
//! absent        free --attach--> taken (its pump runs) --end of file--> done
//!                 |                |   ^ attach again: its pump gets another connection
//!                 |                '---'
//!                 '--abandon (the program never started)----------------^
//! ```

use std::sync::{Arc, Mutex, PoisonError};

use holm_protocol::agent::messages::Stdio;
use holm_protocol::stream::StreamKind;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::{mpsc, watch};

use super::{AgentPipes, Host, Tty};
use crate::fault::Fault;

/// The agent's end of one stream.
pub(crate) enum Endpoint {
    /// Standard input of a process without a terminal.
    Input(Sender),
    /// An output of a process without a terminal.
    Output(Receiver),
    /// Keys typed.
    TtyInput(Arc<Tty>),
    /// Everything that a terminal shows.
    TtyOutput(Arc<Tty>),
}

/// The streams of one process.
pub(crate) struct Streams {
    free: Mutex<Vec<(StreamKind, Endpoint)>>,
    /// The ways to their pumps.
    taken: Mutex<Vec<(StreamKind, mpsc::Sender<Host>)>>,
    outputs_left: watch::Sender<usize>,
    tty: Option<Arc<Tty>>,
}

/// What becomes of a connection to the host.
pub(crate) enum Attachment {
    /// It is the first; its pump hears of the next ones.
    First(Endpoint, Option<OutputGuard>, mpsc::Receiver<Host>),
    /// The stream's pump takes it instead of the one that it had: the host is another since the VM went on from a checkpoint.
    Another(mpsc::Sender<Host>),
}

/// Counts an output as unfinished while it lives.
pub(crate) struct OutputGuard(watch::Sender<usize>);

impl Drop for OutputGuard {
    fn drop(&mut self) {
        self.0.send_modify(|left| *left = left.saturating_sub(1));
    }
}

impl Streams {
    /// Streams over pipes.
    pub(crate) fn new(pipes: AgentPipes) -> Self {
        let mut free = Vec::with_capacity(3);
        free.extend(pipes.stdin.map(|pipe| (StreamKind::Stdin, Endpoint::Input(pipe))));
        free.extend(pipes.stdout.map(|pipe| (StreamKind::Stdout, Endpoint::Output(pipe))));
        free.extend(pipes.stderr.map(|pipe| (StreamKind::Stderr, Endpoint::Output(pipe))));
        Self::from_parts(free, None)
    }

    /// Streams over a terminal, as far as they are asked for. Returns the output that nobody will attach, if so: it must
    /// be read all the same, or the process would block.
    pub(crate) fn with_tty(tty: Tty, request: &Stdio) -> (Self, Option<Endpoint>) {
        let tty = Arc::new(tty);
        let mut free = Vec::with_capacity(2);
        if request.stdin {
            free.push((StreamKind::Stdin, Endpoint::TtyInput(Arc::clone(&tty))));
        }
        let output = Endpoint::TtyOutput(Arc::clone(&tty));
        let unheard = if request.stdout {
            free.push((StreamKind::Stdout, output));
            None
        } else {
            Some(output)
        };
        (Self::from_parts(free, Some(tty)), unheard)
    }

    fn from_parts(free: Vec<(StreamKind, Endpoint)>, tty: Option<Arc<Tty>>) -> Self {
        let outputs = free.iter().filter(|(kind, _)| *kind != StreamKind::Stdin).count();
        let outputs_left = watch::Sender::new(outputs);
        Self { free: Mutex::new(free), taken: Mutex::default(), outputs_left, tty }
    }

    /// Hands out a stream, once; or the way to whoever has it.
    pub(crate) fn attach(&self, kind: StreamKind) -> Result<Attachment, Fault> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(position) = free.iter().position(|(known, _)| *known == kind) else {
            let pump = taken.iter().find(|(known, pump)| *known == kind && !pump.is_closed());
            let gone = || Fault::precondition(format!("{kind} is over or was not asked for"));
            return pump.map(|(_, pump)| Attachment::Another(pump.clone())).ok_or_else(gone);
        };
        let (_, endpoint) = free.swap_remove(position);
        let guard = (kind != StreamKind::Stdin).then(|| OutputGuard(self.outputs_left.clone()));
        let (pump, others) = mpsc::channel(1);
        taken.push((kind, pump));
        Ok(Attachment::First(endpoint, guard, others))
    }

    /// Closes what is not attached: the program never started, there will be no output.
    pub(crate) fn abandon(&self) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let outputs = free.iter().filter(|(kind, _)| *kind != StreamKind::Stdin).count();
        free.clear();
        self.outputs_left.send_modify(|left| *left = left.saturating_sub(outputs));
    }

    /// Waits until all output was handed over.
    pub(crate) async fn outputs_done(&self) {
        let mut left = self.outputs_left.subscribe();
        // The sender lives in self.
        left.wait_for(|left| *left == 0).await.map(drop).unwrap_or_default();
    }

    /// The terminal, if the process has one.
    pub(crate) fn tty(&self) -> Option<&Arc<Tty>> {
        self.tty.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streams() -> Streams {
        let request = Stdio { stdin: true, stdout: true, ..Stdio::default() };
        Streams::new(super::super::make(&request, false).unwrap().1)
    }

    fn first(streams: &Streams, kind: StreamKind) -> (Endpoint, Option<OutputGuard>, mpsc::Receiver<Host>) {
        match streams.attach(kind) {
            Ok(Attachment::First(endpoint, guard, others)) => (endpoint, guard, others),
            _ => panic!("{kind} is not free"),
        }
    }

    #[tokio::test]
    async fn a_stream_is_handed_out_once_and_then_leads_to_its_pump() {
        let streams = streams();
        let (_stdout, guard, others) = first(&streams, StreamKind::Stdout);
        assert!(guard.is_some());
        assert!(matches!(streams.attach(StreamKind::Stdout), Ok(Attachment::Another(_))));
        drop(others);
        assert!(streams.attach(StreamKind::Stdout).is_err(), "its pump has ended");
        assert!(streams.attach(StreamKind::Stderr).is_err(), "not asked for");
        let (_stdin, guard, _others) = first(&streams, StreamKind::Stdin);
        assert!(guard.is_none(), "nobody waits for stdin");
    }

    #[tokio::test]
    async fn output_is_done_when_its_guard_is_gone() {
        let streams = streams();
        assert_eq!(*streams.outputs_left.borrow(), 1);
        let (_stdout, guard, _others) = first(&streams, StreamKind::Stdout);
        assert_eq!(*streams.outputs_left.borrow(), 1);
        drop(guard);
        streams.outputs_done().await;
    }

    #[tokio::test]
    async fn abandoned_output_is_not_waited_for() {
        let streams = streams();
        streams.abandon();
        streams.outputs_done().await;
        assert!(streams.attach(StreamKind::Stdout).is_err());
    }
}
