//! A VM that was saved: when it had booted and before it had a workload, for others to go on from (a template), or with all of its
//! devices while its workload ran (a checkpoint).
//!
//! - `document`: the state as bytes and back, checked.
//! - `memory`: guest memory into a file, and a file into guest memory.
//! - `written`: what guests write to soon, so that it is copied ahead.
//! - `page_map`: what the kernel knows of this process's pages.
//!
//! Two files. The state: everything but memory, as plain data. Memory: the pages that are not zero, one run after the other;
//! the state tells where each run belongs. Others map it copy-on-write, so they share its pages in the host's cache.
//!
//! Trust: both are written and kept by the host. What is read is checked all the same: bits rot, disks fill, versions
//! change. Nothing in them can do more than make this VM fail, or boot instead.

mod document;
mod memory;
mod page_map;
mod written;

use kvm_bindings::{kvm_clock_data, kvm_irqchip};
use serde::{Deserialize, Serialize};

use crate::devices::virtio::saved_device::SavedDevice;
use crate::vcpu::VcpuState;

pub use document::{DocumentError, decode, encode, read};
pub use memory::{MemoryFileError, map, save, verify};
pub use page_map::PageMap;
pub use written::{copy_ahead, written};

/// Everything of a VM but its memory.
#[derive(Serialize, Deserialize)]
pub struct Template {
    /// Size of the memory in MiB: that with which it booted, or all of a checkpoint.
    pub memory_mib: u32,
    /// The file of memory.
    pub memory: MemoryFile,
    /// vCPUs in the order of their ids.
    pub vcpus: Vec<VcpuState>,
    /// What belongs to no vCPU.
    pub vm: VmState,
    /// The devices that the guest uses, in the order of their slots: vsock, and in a checkpoint all others.
    pub devices: Vec<SavedSlot>,
}

/// A device in its slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSlot {
    /// Which.
    pub slot: u32,
    /// What is in it.
    pub device: SavedDevice,
}

/// What KVM keeps beside vCPUs and memory.
#[derive(Clone, Serialize, Deserialize)]
pub struct VmState {
    /// Both PICs and the IOAPIC.
    pub interrupt_controllers: [kvm_irqchip; 3],
    /// kvmclock.
    pub clock: kvm_clock_data,
}

/// What is in the file of memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryFile {
    /// In ascending order, laid end to end.
    pub runs: Vec<Run>,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
}

/// Pages that follow each other in the guest and in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Guest physical address, in whole pages.
    pub start: u64,
    /// Length in bytes, whole pages.
    pub length_bytes: u64,
}

impl MemoryFile {
    /// Length of the file in bytes; `None` when that is more than fits.
    #[must_use]
    pub fn length_bytes(&self) -> Option<u64> {
        self.runs.iter().try_fold(0_u64, |sum, run| sum.checked_add(run.length_bytes))
    }
}
