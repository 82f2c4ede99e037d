//! SIGTERM, SIGINT and SIGHUP end the VM in order.

use std::sync::Arc;

use event_manager::{EventOps, Events, MutEventSubscriber};
use holm_protocol::vm_exit::VmExit;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use vmm_sys_util::epoll::EventSet;

use crate::ending::Ending;

/// Takes the ending signals from an event loop.
pub struct Signals {
    fd: SignalFd,
    ending: Arc<Ending>,
}

impl Signals {
    /// Blocks the signals for this thread and those it starts from now on, and takes them from a descriptor instead.
    ///
    /// # Errors
    /// The process is out of file descriptors.
    pub fn new(ending: Arc<Ending>) -> Result<Self, nix::Error> {
        let set: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect();
        set.thread_block()?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Self { fd, ending })
    }
}

impl MutEventSubscriber for Signals {
    fn process(&mut self, _: Events, _: &mut EventOps<'_>) {
        if let Ok(Some(signal)) = self.fd.read_signal() {
            self.ending.report(VmExit::Killed(i32::try_from(signal.ssi_signo).unwrap_or(0)));
        }
    }

    fn init(&mut self, ops: &mut EventOps<'_>) {
        if let Err(error) = ops.add(Events::new(&self.fd, EventSet::IN)) {
            tracing::error!(?error, "cannot watch for signals");
        }
    }
}
