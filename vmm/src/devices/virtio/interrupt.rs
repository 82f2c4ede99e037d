//! A device's way to its driver's attention (virtio 1.2 sections 2.1.2, 2.3 and 4.2.2.2).
//!
//! Shared by the device's event loop, which raises, and the vCPU threads, which read and acknowledge the status; hence
//! atomics and an irqfd, no lock.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};
use vmm_sys_util::eventfd::EventFd;

/// InterruptStatus bit 0: the device used a buffer.
pub const INTERRUPT_USED_BUFFER: u32 = 1;
/// InterruptStatus bit 1: the configuration, or the needs-reset bit, changed.
pub const INTERRUPT_CONFIGURATION: u32 = 2;

/// What a snapshot keeps of an [`Interrupt`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterruptState {
    /// Bits that the driver has not acknowledged.
    pub pending: u32,
    /// Whether the device has given up.
    pub is_reset_needed: bool,
    /// Changes of the configuration space so far.
    pub generation: u32,
}

/// Raises one device's interrupt line. Clones share the line.
#[derive(Clone, Debug)]
pub struct Interrupt {
    line: Arc<Line>,
}

#[derive(Debug)]
struct Line {
    /// Bits that the driver has not acknowledged.
    pending: AtomicU32,
    /// 1 once the device has given up until its next reset.
    needs_reset: AtomicU32,
    /// Counts changes of the configuration space, for the transport's ConfigGeneration.
    generation: AtomicU32,
    /// KVM turns a write into an edge on the guest's line.
    irqfd: EventFd,
}

impl Interrupt {
    /// A line of its own.
    ///
    /// # Errors
    /// The process is out of file descriptors.
    pub fn new() -> io::Result<Self> {
        let irqfd = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)?;
        Ok(Self {
            line: Arc::new(Line {
                pending: AtomicU32::new(0),
                needs_reset: AtomicU32::new(0),
                generation: AtomicU32::new(0),
                irqfd,
            }),
        })
    }

    /// Tells the driver that buffers were used. Ask `Queue::needs_notification` first.
    pub fn used_buffer(&self) {
        self.raise(INTERRUPT_USED_BUFFER);
    }

    /// Tells the driver that the configuration space has changed.
    pub fn configuration_changed(&self) {
        self.line.generation.fetch_add(1, Ordering::SeqCst);
        self.raise(INTERRUPT_CONFIGURATION);
    }

    /// Gives up: the driver broke the rules and has to reset the device. The caller then touches its queues no more.
    pub fn needs_reset(&self) {
        self.line.needs_reset.store(1, Ordering::SeqCst);
        self.raise(INTERRUPT_CONFIGURATION);
    }

    /// Whether [`Self::needs_reset`] was called since the last reset.
    #[must_use]
    pub fn is_reset_needed(&self) -> bool {
        self.line.needs_reset.load(Ordering::SeqCst) != 0
    }

    /// Bits that the driver has not acknowledged.
    #[must_use]
    pub fn pending(&self) -> u32 {
        self.line.pending.load(Ordering::SeqCst)
    }

    /// The driver has seen these bits.
    pub fn acknowledge(&self, bits: u32) {
        self.line.pending.fetch_and(!bits, Ordering::SeqCst);
    }

    /// Changes of the configuration space so far, wrapping.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.line.generation.load(Ordering::SeqCst)
    }

    /// Forgets everything but the generation: the device was reset.
    pub fn clear(&self) {
        self.line.pending.store(0, Ordering::SeqCst);
        self.line.needs_reset.store(0, Ordering::SeqCst);
    }

    /// What a snapshot keeps.
    #[must_use]
    pub fn state(&self) -> InterruptState {
        InterruptState {
            pending: self.pending(),
            is_reset_needed: self.is_reset_needed(),
            generation: self.generation(),
        }
    }

    /// Goes on as `state` says. What the driver has not acknowledged is raised again: the edge may have been on its way.
    pub fn restore(&self, state: InterruptState) {
        self.line.needs_reset.store(state.is_reset_needed.into(), Ordering::SeqCst);
        self.line.generation.store(state.generation, Ordering::SeqCst);
        if state.pending != 0 {
            self.raise(state.pending);
        }
    }

    /// The event that KVM injects; tests read it to see an interrupt.
    #[must_use]
    pub fn irqfd(&self) -> &EventFd {
        &self.line.irqfd
    }

    fn raise(&self, bits: u32) {
        self.line.pending.fetch_or(bits, Ordering::SeqCst);
        // The only failure is a full counter (2^64 - 2 unread raises): the edge is pending then anyway.
        let _ = self.line.irqfd.write(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_stay_until_acknowledged() {
        let interrupt = Interrupt::new().unwrap();
        interrupt.used_buffer();
        interrupt.configuration_changed();
        assert_eq!(interrupt.pending(), INTERRUPT_USED_BUFFER | INTERRUPT_CONFIGURATION);
        assert_eq!(interrupt.irqfd().read().unwrap(), 2);
        interrupt.acknowledge(INTERRUPT_USED_BUFFER);
        assert_eq!(interrupt.pending(), INTERRUPT_CONFIGURATION);
        assert_eq!(interrupt.generation(), 1);
    }

    #[test]
    fn what_was_not_acknowledged_is_raised_again() {
        let before = Interrupt::new().unwrap();
        before.configuration_changed();
        let after = Interrupt::new().unwrap();
        after.restore(before.state());
        assert_eq!(after.state(), before.state());
        assert_eq!(after.irqfd().read().unwrap(), 1);
        let quiet = Interrupt::new().unwrap();
        quiet.restore(InterruptState::default());
        assert!(quiet.irqfd().read().is_err());
    }

    #[test]
    fn needs_reset_lasts_until_cleared() {
        let interrupt = Interrupt::new().unwrap();
        interrupt.clone().needs_reset();
        assert!(interrupt.is_reset_needed());
        assert_eq!(interrupt.pending(), INTERRUPT_CONFIGURATION);
        interrupt.clear();
        assert!(!interrupt.is_reset_needed());
        assert_eq!(interrupt.pending(), 0);
    }
}
