//! The events by which a driver tells that a queue has something new, for devices that look at all queues whenever one comes.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use event_manager::{EventOps, Events};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::eventfd::EventFd;

/// What a driver writes to: the device, its transport and KVM have the same.
pub type Kick = Arc<EventFd>;

/// Makes one.
///
/// # Errors
/// The process is out of file descriptors.
pub fn make() -> io::Result<Kick> {
    Ok(Arc::new(EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)?))
}

/// Has an event loop hear all of them.
pub fn watch(kicks: &[Kick], ops: &mut EventOps<'_>, device: &str) {
    for kick in kicks {
        if let Err(error) = ops.add(Events::new(kick.as_ref(), EventSet::IN)) {
            // Only without memory or epoll watches, at start: the device then never answers.
            tracing::error!(?error, device, "cannot watch a queue");
        }
    }
}

/// Takes the one that came, if it is one of them.
pub fn take(kicks: &[Kick], came: RawFd) {
    if let Some(kick) = kicks.iter().find(|kick| kick.as_raw_fd() == came) {
        // Non-blocking: somebody else may have taken it.
        let _ = kick.read();
    }
}
