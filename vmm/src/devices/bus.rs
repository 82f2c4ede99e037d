//! Where a vCPU's port and memory accesses go.
//!
//! Shared by all vCPU threads. A slot is a register window of one device; devices come and go while the VM runs, and each slot
//! has a lock of its own, which its device's registers need anyway.

use std::sync::{Mutex, MutexGuard, PoisonError};

use holm_protocol::vm_exit::VmExit;

use super::ports::Ports;
use super::virtio::mmio::Transport;
use crate::layout::{MAX_VIRTIO_DEVICES, VIRTIO_MMIO_BASE, VIRTIO_MMIO_STRIDE};

/// The guest's port and memory-mapped devices.
pub struct Bus {
    ports: Ports,
    slots: Vec<Mutex<Option<Transport>>>,
}

impl Bus {
    /// With empty slots.
    #[must_use]
    pub fn new(ports: Ports) -> Self {
        Self { ports, slots: (0..MAX_VIRTIO_DEVICES).map(|_| Mutex::default()).collect() }
    }

    /// The port I/O space.
    #[must_use]
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Puts a transport, or nothing, into a slot; what was there. No vCPU is in that one's registers any more.
    pub fn replace(&self, slot: usize, transport: Option<Transport>) -> Option<Transport> {
        std::mem::replace(&mut *lock(self.slots.get(slot)?), transport)
    }

    /// Looks at the transport in a slot, if there is one.
    pub fn inspect<T>(&self, slot: usize, look: impl FnOnce(&Transport) -> T) -> Option<T> {
        lock(self.slots.get(slot)?).as_ref().map(look)
    }

    /// A load from device memory. Nothing there: all ones.
    pub fn read(&self, address: u64, data: &mut [u8]) {
        let found = self.find(address);
        match found.as_ref().and_then(|(slot, offset)| Some((slot.as_ref()?, *offset))) {
            Some((transport, offset)) => transport.read(offset, data),
            None => data.fill(0xff),
        }
    }

    /// A store to device memory. Nothing there: ignored.
    pub fn write(&self, address: u64, data: &[u8]) {
        if let Some((mut slot, offset)) = self.find(address)
            && let Some(transport) = slot.as_mut()
        {
            transport.write(offset, data);
        }
    }

    /// `out` to a port; the VM's end if the guest asked for it.
    pub fn write_port(&self, port: u16, data: &[u8]) -> Option<VmExit> {
        self.ports.write(port, data)
    }

    fn find(&self, address: u64) -> Option<(MutexGuard<'_, Option<Transport>>, u64)> {
        let distance = address.checked_sub(VIRTIO_MMIO_BASE)?;
        let index = usize::try_from(distance / VIRTIO_MMIO_STRIDE).ok()?;
        Some((lock(self.slots.get(index)?), distance % VIRTIO_MMIO_STRIDE))
    }
}

fn lock(slot: &Mutex<Option<Transport>>) -> MutexGuard<'_, Option<Transport>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
