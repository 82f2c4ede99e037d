//! How this VM ends: written once, by whoever notices first; read by the main thread.

use std::io;
use std::sync::OnceLock;

use holm_protocol::vm_exit::VmExit;
use vmm_sys_util::eventfd::EventFd;

/// The end of a VM, shared by all threads.
#[derive(Debug)]
pub struct Ending {
    exit: OnceLock<VmExit>,
    event: EventFd,
}

impl Ending {
    /// A VM that has not ended.
    ///
    /// # Errors
    /// The process is out of file descriptors.
    pub fn new() -> io::Result<Self> {
        let event = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)?;
        Ok(Self { exit: OnceLock::new(), event })
    }

    /// The VM has ended like this, unless it had ended before.
    pub fn report(&self, exit: VmExit) {
        if self.exit.set(exit).is_ok() {
            // Fails only if the counter is full; one write never fills it.
            let _ = self.event.write(1);
        }
    }

    /// How the VM ended, if it has.
    #[must_use]
    pub fn get(&self) -> Option<&VmExit> {
        self.exit.get()
    }

    /// Readable for ever once the VM has ended.
    #[must_use]
    pub fn event(&self) -> &EventFd {
        &self.event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_report_stands() {
        let ending = Ending::new().unwrap();
        assert_eq!(ending.get(), None);
        ending.report(VmExit::TripleFault);
        ending.report(VmExit::PowerOff);
        assert_eq!(ending.get(), Some(&VmExit::TripleFault));
        assert_eq!(ending.event().read().unwrap(), 1);
    }
}
