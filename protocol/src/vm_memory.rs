//! Where a guest's memory is, and which of it the guest finds when it boots: the VMM puts it there, and the host's runtime tells
//! the guest of the rest.
//!
//! ```text
//!   0 ── memory that it boots with ──┬── memory that it is told of, in blocks ──┐ 3 GiB   4 GiB ┌── what did not fit ──
//! ```

/// RAM below 4 GiB ends here at the latest, in bytes; devices start.
pub const DEVICE_WINDOW_START: u64 = 3 << 30;
/// RAM beyond [`DEVICE_WINDOW_START`] resumes here.
const DEVICE_WINDOW_END: u64 = 4 << 30;
/// A guest takes memory at run time in blocks of this size, each at a multiple of it (Linux
/// Documentation/admin-guide/mm/memory-hotplug.rst; a section of x86_64).
pub const MEMORY_BLOCK_MIB: u32 = 128;

/// A piece of a guest's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRange {
    /// Guest physical address.
    pub start: u64,
    /// Length in bytes.
    pub length_bytes: u64,
}

impl MemoryRange {
    /// The address behind it.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.start.saturating_add(self.length_bytes)
    }
}

/// The pieces of so many MiB: one below the device window and, if that is not enough, one above.
#[must_use]
pub fn ranges(memory_mib: u32) -> Vec<MemoryRange> {
    between(0, memory_mib)
}

/// Where the blocks from the MiB `from_mib` on start, counted without the device window.
#[must_use]
pub fn blocks(from_mib: u32, to_mib: u32) -> Vec<u64> {
    const BLOCK_BYTES: usize = (MEMORY_BLOCK_MIB as usize) << 20;
    between(from_mib, to_mib)
        .iter()
        .flat_map(|range| (range.start..range.end()).step_by(BLOCK_BYTES))
        .collect()
}

fn between(from_mib: u32, to_mib: u32) -> Vec<MemoryRange> {
    let (from, to) = (u64::from(from_mib) << 20, u64::from(to_mib) << 20);
    let above = DEVICE_WINDOW_END - DEVICE_WINDOW_START;
    let low = (from, to.min(DEVICE_WINDOW_START));
    let high = (from.max(DEVICE_WINDOW_START).saturating_add(above), to.saturating_add(above));
    [low, high]
        .into_iter()
        .filter(|(start, end)| start < end)
        .map(|(start, end)| MemoryRange { start, length_bytes: end - start })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_steps_over_the_device_window() {
        let of = |from_mib, to_mib| {
            between(from_mib, to_mib).iter().map(|range| (range.start, range.end())).collect::<Vec<_>>()
        };
        assert_eq!(of(0, 64), [(0, 64 << 20)]);
        assert_eq!(of(0, 3072), [(0, 3 << 30)]);
        assert_eq!(of(0, 3073), [(0, 3 << 30), (4 << 30, (4 << 30) + (1 << 20))]);
        assert_eq!(of(0, 5120), [(0, 3 << 30), (4 << 30, 6 << 30)]);
        assert_eq!(of(512, 512), []);
        assert_eq!(of(512, 640), [(512 << 20, 640 << 20)]);
        assert_eq!(of(512, 4096), [(512 << 20, 3 << 30), (4 << 30, 5 << 30)]);
        assert_eq!(of(3072, 4096), [(4 << 30, 5 << 30)]);
        assert_eq!(of(4096, 5120), [(5 << 30, 6 << 30)]);
    }

    #[test]
    fn blocks_lie_on_both_sides_of_the_device_window() {
        assert!(blocks(640, 640).is_empty());
        assert_eq!(blocks(640, 896), [640 << 20, 768 << 20]);
        assert_eq!(blocks(2944, 3200), [2944 << 20, 4 << 30]);
    }
}
