//! The page tables and descriptors with which the kernel is entered in 64-bit mode: the first GiB mapped to itself (Linux
//! Documentation/arch/x86/boot.rst: kernel, zero page and command line have to be mapped).

use crate::layout;
use crate::memory::{Bytes, GuestAddress, GuestMemoryError, GuestRam};

const PRESENT_WRITABLE: u64 = 0b11;
/// The entry maps a page of 2 MiB and no table.
const LARGE: u64 = 1 << 7;
const LARGE_PAGE_BYTES: u64 = 2 << 20;
const ENTRIES: u64 = 512;
/// Nothing, nothing, code (`__BOOT_CS`) and data (`__BOOT_DS`): ring 0, flat, the code 64-bit (Intel SDM volume 3, 3.4.5).
const DESCRIPTORS: [u64; 4] = [0, 0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff];
/// Length of the descriptors in bytes, less one.
pub(crate) const GDT_LIMIT: u16 = 31;

/// Writes them where [`layout`] says.
///
/// # Errors
/// Guest memory is too small.
pub fn write(memory: &GuestRam) -> Result<(), GuestMemoryError> {
    memory.write_obj(layout::PAGE_DIRECTORY_POINTERS | PRESENT_WRITABLE, GuestAddress(layout::PAGE_MAP))?;
    memory.write_obj(
        layout::PAGE_DIRECTORY | PRESENT_WRITABLE,
        GuestAddress(layout::PAGE_DIRECTORY_POINTERS),
    )?;
    for entry in 0..ENTRIES {
        let address = GuestAddress(layout::PAGE_DIRECTORY + entry * 8);
        memory.write_obj((entry * LARGE_PAGE_BYTES) | LARGE | PRESENT_WRITABLE, address)?;
    }
    for (descriptor, address) in DESCRIPTORS.iter().zip((layout::GDT..).step_by(8)) {
        memory.write_obj(*descriptor, GuestAddress(address))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory;

    #[test]
    fn addresses_of_the_first_gibibyte_are_their_own() {
        let memory = memory::allocate(64).unwrap();
        write(&memory).unwrap();
        let entry = |table: u64, index: u64| -> u64 {
            memory.read_obj(GuestAddress((table & !0xfff) + index * 8)).unwrap()
        };
        for address in [0_u64, 0x100_0000, (1 << 30) - 1] {
            let directories = entry(layout::PAGE_MAP, 0);
            let directory = entry(directories, address >> 30);
            let page = entry(directory, address >> 21);
            assert_eq!(page & 0xfff, LARGE | PRESENT_WRITABLE);
            assert_eq!((page & !0xfff) | (address & (LARGE_PAGE_BYTES - 1)), address);
        }
        assert_eq!(usize::from(GDT_LIMIT) + 1, size_of_val(&DESCRIPTORS));
    }
}
