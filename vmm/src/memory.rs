//! Guest memory: the one place that names the `vm-memory` types, so that a new release of them changes one file.
//!
//! Everything in this memory is written by the guest at any moment, also while the VMM reads it: read a value once, check
//! the copy. The types only give volatile access, never a Rust reference into it.

use crate::layout;

pub use vm_memory::{
    Address, ByteValued, Bytes, GuestAddress, GuestMemory, GuestMemoryError, GuestMemoryRegion, VolatileSlice,
};

/// The memory of one guest, mapped into this process. Shared as `Arc<GuestRam>` by everything that reads or writes it.
pub type GuestRam = vm_memory::GuestMemoryMmap<()>;

/// Guest memory could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot map {memory_mib} MiB of guest memory")]
pub struct MemoryError {
    memory_mib: u32,
    source: vm_memory::mmap::FromRangesError,
}

/// Maps `memory_mib` MiB of guest memory: private, zeroed, and taken from the host page by page when first touched.
///
/// Anonymous memory, so that the host's own policy on transparent huge pages holds: with them a start took about 0.85 of
/// the time without (measured in the lab). A template will map its file here instead.
///
/// # Errors
/// The host refuses the mapping.
pub fn allocate(memory_mib: u32) -> Result<GuestRam, MemoryError> {
    GuestRam::from_ranges(&ranges(memory_mib)).map_err(|source| MemoryError { memory_mib, source })
}

/// Start and length in bytes of each piece of RAM: one below the device window and, if that is not enough, one above.
#[must_use]
pub fn ranges(memory_mib: u32) -> Vec<(GuestAddress, usize)> {
    let total = u64::from(memory_mib) << 20;
    let low = total.min(layout::DEVICE_WINDOW_START);
    let bytes = |length: u64| usize::try_from(length).unwrap_or(usize::MAX);
    let mut ranges = vec![(GuestAddress(0), bytes(low))];
    if total > low {
        ranges.push((GuestAddress(layout::DEVICE_WINDOW_END), bytes(total - low)));
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_steps_over_the_device_window() {
        assert_eq!(ranges(64), [(GuestAddress(0), 64 << 20)]);
        assert_eq!(ranges(3072), [(GuestAddress(0), 3 << 30)]);
        assert_eq!(ranges(3073), [(GuestAddress(0), 3 << 30), (GuestAddress(4 << 30), 1 << 20)]);
        assert_eq!(ranges(5120), [(GuestAddress(0), 3 << 30), (GuestAddress(4 << 30), 2 << 30)]);
    }
}
