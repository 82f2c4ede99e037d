//! Guest memory: the one place that names the `vm-memory` types, so that a new release of them changes one file.
//!
//! Everything in this memory is written by the guest at any moment, also while the VMM reads it: read a value once, check
//! the copy. The types only give volatile access, never a Rust reference into it.
#![allow(unsafe_code)] // choosing where the mapping starts, mapping files over it, and giving parts of it back

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

use holm_protocol::vm_memory::ranges;
use nix::sys::mman::{self, MapFlags, MmapAdvise, ProtFlags};
use vm_memory::mmap::{FromRangesError, MmapRegion, MmapRegionError};
use vm_memory::{GuestMemoryMmap, GuestRegionMmap};

pub use vm_memory::{
    Address, ByteValued, Bytes, GuestAddress, GuestMemory, GuestMemoryError, GuestMemoryRegion, VolatileSlice,
};

/// The memory of one guest, mapped into this process. Shared as `Arc<GuestRam>` by everything that reads or writes it.
pub type GuestRam = GuestMemoryMmap<()>;

/// Guest memory could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot map {memory_mib} MiB of guest memory")]
pub struct MemoryError {
    memory_mib: u32,
    source: FromRangesError,
}

/// A page of x86_64.
pub const PAGE_BYTES: usize = 4096;
/// A transparent huge page of x86_64.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Maps `memory_mib` MiB of guest memory: private, zeroed, and taken from the host page by page when first touched.
///
/// Anonymous memory, so that the host's own policy on transparent huge pages holds. KVM can use those only where guest and
/// host addresses agree modulo their size: with both, a start takes 1000 nested page faults and not 8700
/// (docs/decisions/0009-huge-pages.md). A template's file is mapped over parts of it ([`map_file`]).
///
/// # Errors
/// The host refuses the mapping.
pub fn allocate(memory_mib: u32) -> Result<GuestRam, MemoryError> {
    let regions = ranges(memory_mib).into_iter().map(|range| {
        let bytes = usize::try_from(range.length_bytes).unwrap_or(usize::MAX);
        GuestRegionMmap::new(aligned(bytes)?, GuestAddress(range.start))
            .ok_or(FromRangesError::InvalidGuestRegion)
    });
    regions
        .collect::<Result<Vec<_>, _>>()
        .and_then(|regions| Ok(GuestRam::from_regions(regions)?))
        .map_err(|source| MemoryError { memory_mib, source })
}

/// A mapping that starts at a multiple of a huge page, cut out of a larger one. It is never unmapped: a VMM has one guest
/// and ends with it.
fn aligned(bytes: usize) -> Result<MmapRegion, FromRangesError> {
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE | MapFlags::MAP_ANONYMOUS;
    let longer = NonZeroUsize::MIN.saturating_add(bytes.saturating_add(HUGE_PAGE_BYTES - 1));
    // SAFETY: a new mapping, at an address of the kernel's choice.
    let start = unsafe { mman::mmap_anonymous(None, longer, protection, flags) }
        .map_err(|errno| MmapRegionError::Mmap(errno.into()))?
        .cast::<u8>();
    let excess = start.addr().get() % HUGE_PAGE_BYTES;
    let offset = (HUGE_PAGE_BYTES - excess) % HUGE_PAGE_BYTES;
    // SAFETY: `offset` is less than a huge page, by which the mapping is longer than `bytes`; nothing else knows of it.
    unsafe { MmapRegion::build_raw(start.as_ptr().add(offset), bytes, protection.bits(), flags.bits()) }
        .map_err(FromRangesError::from)
}

/// Copies pages of a file that is mapped under them ([`map_file`]), as if the guest wrote to each of them now.
///
/// # Errors
/// The range lies outside guest memory, or the host refuses: before Linux 5.14 it does not know how.
pub fn copy_ahead(memory: &GuestRam, start: GuestAddress, length_bytes: u64) -> io::Result<()> {
    advise(memory, start, length_bytes, MmapAdvise::MADV_POPULATE_WRITE)
}

/// Gives whole pages back to the host: the guest finds zeroes there, and the host has the memory until then. Parts of pages at
/// both ends stay.
///
/// # Errors
/// The range lies outside guest memory, or the host refuses.
pub fn discard(memory: &GuestRam, start: GuestAddress, length_bytes: u32) -> io::Result<()> {
    advise(memory, start, length_bytes.into(), MmapAdvise::MADV_DONTNEED)
}

/// Advises the host about the whole pages in a range.
fn advise(memory: &GuestRam, start: GuestAddress, length_bytes: u64, advice: MmapAdvise) -> io::Result<()> {
    let length = usize::try_from(length_bytes).unwrap_or(usize::MAX);
    let outside = |error: GuestMemoryError| io::Error::new(io::ErrorKind::InvalidInput, error);
    // One slice, so one region: what follows it in guest memory may lie anywhere here.
    let slice = memory.get_slice(start, length).map_err(outside)?;
    let guard = slice.ptr_guard_mut();
    // Regions start at huge pages in guest and host alike, so pages coincide.
    let skipped = guard.as_ptr().addr().wrapping_neg() % PAGE_BYTES;
    let bytes = length.saturating_sub(skipped) / PAGE_BYTES * PAGE_BYTES;
    let Some(first) = NonNull::new(guard.as_ptr().wrapping_add(skipped)).filter(|_| bytes > 0) else {
        return Ok(());
    };
    // SAFETY: `bytes` from `first` on lie in the slice, which is mapped for as long as the VMM runs. Nothing in this process
    // has a reference into guest memory, and whoever reads it expects any value.
    unsafe { mman::madvise(first.cast(), bytes, advice) }.map_err(io::Error::from)
}

/// Puts `length_bytes` of a file, from `offset_bytes` on, under guest memory from `start` on, copy-on-write: all three in whole
/// pages. What was there is gone. The file must be as long, and stay so.
///
/// # Errors
/// The range lies outside guest memory, or the host refuses.
pub fn map_file(
    memory: &GuestRam,
    start: GuestAddress,
    length_bytes: u64,
    file: &File,
    offset_bytes: u64,
) -> io::Result<()> {
    let outside = || io::Error::new(io::ErrorKind::InvalidInput, "outside guest memory");
    let length = usize::try_from(length_bytes).map_err(|_| outside())?;
    let offset = i64::try_from(offset_bytes).map_err(|_| outside())?;
    // One slice, so one region.
    let slice = memory.get_slice(start, length).map_err(|_| outside())?;
    let guard = slice.ptr_guard_mut();
    let place = NonZeroUsize::new(guard.as_ptr().addr());
    let (Some(place), Some(length)) = (place, NonZeroUsize::new(length)) else { return Err(outside()) };
    if place.get() % PAGE_BYTES != 0 || length.get() % PAGE_BYTES != 0 {
        return Err(outside());
    }
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE | MapFlags::MAP_FIXED;
    // SAFETY: the pages lie in one mapping of guest memory, which is never unmapped; they are mapped as before, with another
    // content. Nothing in this process has a reference into guest memory.
    unsafe { mman::mmap(Some(place), length, protection, flags, file, offset) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_pages_of_guest_and_host_coincide() {
        for memory_mib in [64, 511, 5120] {
            let memory = allocate(memory_mib).unwrap();
            for region in memory.iter() {
                let host = memory.get_host_address(region.start_addr()).unwrap().addr();
                assert_eq!(host % HUGE_PAGE_BYTES, 0, "{memory_mib} MiB at {host:#x}");
            }
        }
    }
}
