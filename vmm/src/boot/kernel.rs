//! The guest kernel: PT_LOAD segments of an ELF vmlinux, read straight from the file into guest memory.

use std::fs::File;
use std::path::Path;

use linux_loader::loader::KernelLoader;
use linux_loader::loader::elf::{Elf, PvhBootCapability};

use super::BootError;
use crate::layout;
use crate::memory::{GuestAddress, GuestRam};

/// Where a kernel was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadedKernel {
    /// The 64-bit entry point.
    pub entry: GuestAddress,
    /// First address behind the kernel, its zeroed data included.
    pub end: GuestAddress,
}

/// Loads the kernel at its link address.
///
/// # Errors
/// The file cannot be opened, is no ELF for this machine or no kernel, or does not fit.
pub fn load(memory: &GuestRam, path: &Path) -> Result<LoadedKernel, BootError> {
    let mut file = File::open(path).map_err(|source| BootError::Open { path: path.into(), source })?;
    let loaded = Elf::load(memory, None, &mut file, Some(GuestAddress(layout::HIGH_RAM_START)))
        .map_err(|source| BootError::Kernel { path: path.into(), source })?;
    match loaded.pvh_boot_cap {
        PvhBootCapability::PvhEntryPresent(_) => {
            Ok(LoadedKernel { entry: loaded.kernel_load, end: GuestAddress(loaded.kernel_end) })
        }
        _ => Err(BootError::NotAKernel(path.into())),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::memory;

    fn load_bytes(bytes: &[u8]) -> Result<LoadedKernel, BootError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        load(&memory::allocate(64).unwrap(), file.path())
    }

    #[test]
    fn what_is_no_kernel_is_refused() {
        assert!(matches!(load_bytes(b""), Err(BootError::Kernel { .. })));
        assert!(matches!(load_bytes(&[0x7f; 4096]), Err(BootError::Kernel { .. })));
        let missing = load(&memory::allocate(64).unwrap(), Path::new("/nonexistent/vmlinux"));
        assert!(matches!(missing, Err(BootError::Open { .. })));
    }
}
