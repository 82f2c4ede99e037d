//! Where a vCPU's port and memory accesses go.
//!
//! Shared by all vCPU threads. Built before the first of them runs and never changed, so finding a device takes no lock.

use std::sync::{Mutex, PoisonError};

use holm_protocol::vm_exit::VmExit;

use super::ports::Ports;
use super::virtio::mmio::Transport;
use crate::layout::{VIRTIO_MMIO_BASE, VIRTIO_MMIO_STRIDE};

/// The guest's port and memory-mapped devices.
pub struct Bus {
    ports: Ports,
    transports: Vec<Mutex<Transport>>,
}

impl Bus {
    /// With one transport per register window, in the order of their addresses.
    #[must_use]
    pub fn new(ports: Ports, transports: Vec<Transport>) -> Self {
        Self { ports, transports: transports.into_iter().map(Mutex::new).collect() }
    }

    /// The port I/O space.
    #[must_use]
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// A load from device memory. Nothing there: all ones.
    pub fn read(&self, address: u64, data: &mut [u8]) {
        match self.find(address) {
            Some((transport, offset)) => {
                transport.lock().unwrap_or_else(PoisonError::into_inner).read(offset, data);
            }
            None => data.fill(0xff),
        }
    }

    /// A store to device memory. Nothing there: ignored.
    pub fn write(&self, address: u64, data: &[u8]) {
        if let Some((transport, offset)) = self.find(address) {
            transport.lock().unwrap_or_else(PoisonError::into_inner).write(offset, data);
        }
    }

    /// `out` to a port; the VM's end if the guest asked for it.
    pub fn write_port(&self, port: u16, data: &[u8]) -> Option<VmExit> {
        self.ports.write(port, data)
    }

    fn find(&self, address: u64) -> Option<(&Mutex<Transport>, u64)> {
        let distance = address.checked_sub(VIRTIO_MMIO_BASE)?;
        let index = usize::try_from(distance / VIRTIO_MMIO_STRIDE).ok()?;
        Some((self.transports.get(index)?, distance % VIRTIO_MMIO_STRIDE))
    }
}
