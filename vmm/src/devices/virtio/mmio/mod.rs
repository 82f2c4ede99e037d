//! The virtio-mmio transport, version 2 (virtio 1.2 section 4.2): a window of 32-bit registers per device, and behind it
//! the device's configuration space.
//!
//! - `register`: which register an offset is.
//! - `status`: the driver's steps, and which may follow which.
//! - `state`: everything the driver has written, as plain data.
//! - `transport`: registers to state, state to device.
//!
//! No write makes this fail: what a driver may not do at that moment is ignored, as section 4.2.2 asks of a device.

mod register;
mod state;
mod status;
mod transport;

#[cfg(test)]
mod tests;

pub use state::{QueueSetup, TransportState};
pub use transport::{RestoreError, SharedDevice, Transport};

use holm_protocol::vm_control::DevicePlace;

use crate::layout;

/// Where a device is in the guest's physical address space, and on which interrupt line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its register window's first byte.
    pub address: u64,
    /// Its interrupt line.
    pub gsi: u32,
}

impl Place {
    /// The place of the `index`th device; there are [`layout::MAX_VIRTIO_DEVICES`].
    #[must_use]
    pub fn nth(index: usize) -> Self {
        let slot = u32::try_from(index.min(layout::MAX_VIRTIO_DEVICES - 1)).unwrap_or(0);
        let DevicePlace { address, gsi, .. } = DevicePlace::of_slot(slot);
        Self { address, gsi }
    }

    /// The QueueNotify register, which KVM watches.
    #[must_use]
    pub const fn notify_address(self) -> u64 {
        self.address + register::QUEUE_NOTIFY
    }
}
