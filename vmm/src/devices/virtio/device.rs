//! What a virtio device is to its transport (virtio 1.2 section 2).
//!
//! # A device's life
//! The transport (`mmio`) keeps the driver's side of this machine; the device only sees the two arrows that
//! are named after its methods.
//!
//! ```text
//!            ACKNOWLEDGE          DRIVER            FEATURES_OK (only a subset of what was offered)
//!   reset ───────────────► found ────────► driver ───────────────► features ok
//!     ▲                                                                 │ DRIVER_OK: every ready queue is checked,
//!     │                                                                 │ then `activate`
//!     │  status ← 0: `reset`                                            ▼
//!     ├───────────────────────────────────────────────────────────── active
//!     │                                                                 │ broken ring or descriptor, or `activate`
//!     │  status ← 0: `reset`                                            │ refused: `Interrupt::needs_reset`
//!     └───────────────────────────────────────────────────────────── needs reset (device touches nothing more)
//! ```
//!
//! # Threads
//! A device is shared as `Arc<Mutex<dyn VirtioDevice>>` by the vCPU threads (configuration space, `activate`, `reset`)
//! and by the one event loop that serves it (`MutEventSubscriber::process`); parts of it may have event loops of their own
//! ([`VirtioDevice::lanes`]). Interrupt status and acknowledgement never
//! take that lock, so a device may do slow work under it.
//!
//! A device makes one [`Kick`] per queue when it is made and registers all of them in
//! `MutEventSubscriber::init`; nothing is registered or removed later. KVM writes them when the guest notifies a queue.
//! The transport also writes each of them once after `activate`, so that work which waited is found. A kick before
//! `activate` or after `reset` is read and ignored.

use std::sync::Arc;

use event_manager::MutEventSubscriber;
use virtio_queue::Queue;

use super::interrupt::Interrupt;
use super::kicks::Kick;
use super::saved_device::DeviceState;
use crate::event_loop::Subscriber;
use crate::memory::GuestRam;

/// A virtio device behind a transport.
pub trait VirtioDevice: MutEventSubscriber + Send {
    /// The device type number (virtio 1.2 section 5), constant.
    fn device_type(&self) -> u32;

    /// The largest size of each queue, constant: a power of two each, at most 32768. The length is the number of queues.
    fn queue_sizes(&self) -> &[u16];

    /// One per queue, in the order of [`Self::queue_sizes`], constant, non-blocking.
    fn kicks(&self) -> &[Kick];

    /// Parts that are served beside the device, each by a thread of its own; constant. They have the kicks of some of its queues.
    fn lanes(&self) -> Vec<Subscriber> {
        Vec::new()
    }

    /// The features that are offered, constant: the device's own and the ring's. `VIRTIO_F_VERSION_1` is always among
    /// them, and the transport refuses a driver that does not take it.
    fn features(&self) -> u64;

    /// Fills `data` (1, 2, 4 or 8 bytes) from the configuration space at `offset`. What lies beyond its end is zero.
    fn read_config(&self, offset: u64, data: &mut [u8]);

    /// The driver writes `data` (1, 2, 4 or 8 bytes) into the configuration space at `offset`. Most devices have nothing
    /// writable there and ignore it.
    fn write_config(&mut self, offset: u64, data: &[u8]) {
        let _ = (offset, data);
    }

    /// The driver is ready: from now on the queues may be used. Called once between two resets.
    ///
    /// # Errors
    /// [`ActivateError`] puts the device into the needs-reset state; `reset` still follows before the next `activate`.
    fn activate(&mut self, activation: Activation) -> Result<(), ActivateError>;

    /// What a snapshot keeps; `None` for devices that cannot be saved, because what the guest has open is the host's.
    fn saved(&self) -> Option<DeviceState> {
        None
    }

    /// Back to the state before `activate`: drops queues, memory and interrupt; nothing of the guest is touched after
    /// it returns. May be called in any state.
    fn reset(&mut self);
}

/// What a device gets when its driver is ready.
pub struct Activation {
    /// The guest's memory.
    pub memory: Arc<GuestRam>,
    /// One per entry of [`VirtioDevice::queue_sizes`], in order. Each that is `ready()` lay in guest memory when it was
    /// checked, and has EVENT_IDX set as negotiated; a driver may leave queues unused, so check `ready()`.
    pub queues: Vec<Queue>,
    /// How to interrupt the driver.
    pub interrupt: Interrupt,
    /// The negotiated features: a subset of [`VirtioDevice::features`].
    pub features: u64,
}

/// Why a device cannot work with what its driver set up.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ActivateError {
    /// A queue that the device cannot do without was not set up.
    #[error("queue {0} was not set up by the driver")]
    QueueNotReady(usize),
    /// The driver did not take a feature that the device cannot do without.
    #[error("feature bit {0} was not accepted by the driver")]
    FeatureMissing(u32),
}
