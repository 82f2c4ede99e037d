//! One process: created, started, ended.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::unistd::Pid;
use tokio::sync::{oneshot, watch};

use super::Sandbox;
use crate::child::channel::AgentEnd;
use crate::container::cgroup::Exhausted;
use crate::fault::{At, Fault};
use crate::reaper::Ended;
use crate::stdio::Streams;
use crate::sys::signals;

/// How a process ended, and why, as far as the kernel told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) ended: Ended,
    /// Why something in the container was killed for memory, if it was.
    pub(crate) out_of_memory: Option<Exhausted>,
}

/// One process.
pub(crate) struct Process {
    pid: Pid,
    pidfd: OwnedFd,
    /// Present until the process is started.
    channel: Mutex<Option<AgentEnd>>,
    streams: Streams,
    outcome: watch::Receiver<Option<Outcome>>,
}

impl Process {
    /// Follows a process that is ready to start. The container ends with its `first` process.
    pub(crate) fn new(
        (pid, pidfd): (Pid, OwnedFd),
        channel: AgentEnd,
        streams: Streams,
        ended: oneshot::Receiver<Ended>,
        sandbox: Arc<Sandbox>,
        first: bool,
    ) -> Arc<Self> {
        let (sender, outcome) = watch::channel(None);
        tokio::spawn(async move {
            // The reaper never drops a sender that it has not used.
            let Ok(ended) = ended.await else { return };
            if first {
                // The kernel ends a pid namespace by itself; a container without one ends here.
                sandbox.cgroup.kill().unwrap_or_default();
            }
            let outcome = Outcome { ended, out_of_memory: sandbox.cgroup.out_of_memory() };
            sender.send(Some(outcome)).unwrap_or_default();
        });
        Arc::new(Self { pid, pidfd, channel: Mutex::new(Some(channel)), streams, outcome })
    }

    /// In the guest's pid namespace.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Refers to the process even when its pid is somebody else's.
    pub(crate) fn pidfd(&self) -> &OwnedFd {
        &self.pidfd
    }

    pub(crate) fn streams(&self) -> &Streams {
        &self.streams
    }

    /// Lets the process go.
    pub(crate) async fn start(&self) -> Result<(), Fault> {
        let channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner).take();
        let channel = channel.ok_or_else(|| Fault::precondition("the process was started already"))?;
        channel.start().await.inspect_err(|_| self.streams.abandon())
    }

    /// Whether StartProcess was called and the process has not ended.
    pub(crate) fn is_running(&self) -> bool {
        let started = self.channel.lock().unwrap_or_else(PoisonError::into_inner).is_none();
        started && !self.has_ended()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.outcome.borrow().is_some()
    }

    /// Completes when the process has ended.
    pub(crate) fn ended(&self) -> impl Future<Output = ()> + use<> {
        let mut outcome = self.outcome.clone();
        async move {
            outcome.wait_for(Option::is_some).await.map(drop).unwrap_or_default();
        }
    }

    /// Waits for the end of the process, and until all its output was handed over.
    pub(crate) async fn wait(&self) -> Result<Outcome, Fault> {
        self.ended().await;
        let never_started = self.channel.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if never_started {
            self.streams.abandon();
        }
        self.streams.outputs_done().await;
        let outcome = *self.outcome.borrow();
        outcome.ok_or_else(|| Fault::internal("the process was lost"))
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: i32) -> Result<(), Fault> {
        match signals::send_to(&self.pidfd, signal) {
            Err(Errno::ESRCH) => Err(Fault::precondition("the process has ended")),
            Err(Errno::EINVAL) => Err(Fault::invalid(format!("there is no signal {signal}"))),
            sent => sent.at(format_args!("sending signal {signal}")),
        }
    }
}
