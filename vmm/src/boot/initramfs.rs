//! The initramfs: read straight from its file to the top of the RAM below the device window.

use std::fs::File;
use std::path::Path;

use holm_protocol::vm_memory::MemoryRange;

use super::BootError;
use crate::layout::DEVICE_WINDOW_START;
use crate::memory::{Address, Bytes, GuestAddress, GuestRam};

const PAGE_BYTES: u64 = 4096;

/// Where an initramfs was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadedInitramfs {
    /// Its first byte, at the start of a page.
    pub start: GuestAddress,
    /// Its length in bytes.
    pub length_bytes: u64,
}

/// Loads the initramfs above `kernel_end` into the memory that the kernel is to find.
///
/// # Errors
/// The file cannot be read, or there is no room for it.
pub fn load(
    memory: &GuestRam,
    found: &[MemoryRange],
    path: &Path,
    kernel_end: GuestAddress,
) -> Result<LoadedInitramfs, BootError> {
    let open_failed = |source| BootError::Open { path: path.into(), source };
    let mut file = File::open(path).map_err(open_failed)?;
    let length_bytes = file.metadata().map_err(open_failed)?.len();
    let too_large = || BootError::InitramfsTooLarge { path: path.into(), initramfs_bytes: length_bytes };

    let start = place(low_ram_end(found), length_bytes, kernel_end.raw_value()).ok_or_else(too_large)?;
    let start = GuestAddress(start);
    let count = usize::try_from(length_bytes).map_err(|_| too_large())?;
    memory
        .read_exact_volatile_from(start, &mut file, count)
        .map_err(|source| BootError::Initramfs { path: path.into(), source })?;
    Ok(LoadedInitramfs { start, length_bytes })
}

/// First address behind the RAM below the device window.
fn low_ram_end(found: &[MemoryRange]) -> u64 {
    found.iter().map(MemoryRange::end).filter(|&end| end <= DEVICE_WINDOW_START).max().unwrap_or(0)
}

/// The highest page at which `length_bytes` fit between `kernel_end` and `ram_end`.
fn place(ram_end: u64, length_bytes: u64, kernel_end: u64) -> Option<u64> {
    let start = ram_end.checked_sub(length_bytes)? / PAGE_BYTES * PAGE_BYTES;
    (start >= kernel_end).then_some(start)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use holm_protocol::vm_memory::ranges;

    use super::*;
    use crate::memory;

    #[test]
    fn it_lies_on_the_highest_page_that_fits() {
        assert_eq!(place(0x400_0000, 1, 0x200_0000), Some(0x3ff_f000));
        assert_eq!(place(0x400_0000, 0x1001, 0x200_0000), Some(0x3ff_e000));
        assert_eq!(place(0x400_0000, 0x200_0000, 0x200_0000), Some(0x200_0000));
        assert_eq!(place(0x400_0000, 0x200_0001, 0x200_0000), None);
        assert_eq!(place(0x400_0000, u64::MAX, 0), None);
    }

    #[test]
    fn its_bytes_arrive() {
        let memory = memory::allocate(64).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"070701").unwrap();
        let loaded = load(&memory, &ranges(64), file.path(), GuestAddress(0x100_0000)).unwrap();
        let mut seen = [0; 6];
        memory.read_slice(&mut seen, loaded.start).unwrap();
        assert_eq!(&seen, b"070701");
        let crowded = load(&memory, &ranges(64), file.path(), GuestAddress(64 << 20));
        assert!(matches!(crowded, Err(BootError::InitramfsTooLarge { initramfs_bytes: 6, .. })));
    }
}
