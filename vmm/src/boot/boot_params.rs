//! The zero page and what it points to: memory map, initramfs, command line (Linux Documentation/arch/x86/boot.rst, "64-bit
//! Boot Protocol", and zero-page.rst).

use holm_protocol::vm_memory::MemoryRange;
use linux_loader::loader::bootparam::{boot_e820_entry, boot_params};

use super::BootError;
use super::initramfs::LoadedInitramfs;
use crate::layout;
use crate::memory::{Address, Bytes, GuestAddress, GuestRam};

/// `boot_flag`: the magic number of a boot sector.
const BOOT_FLAG: u16 = 0xaa55;
/// `header`: "HdrS".
const HEADER_MAGIC: u32 = 0x5372_6448;
/// `version` 2.12: the command line and the initramfs may lie anywhere below 4 GiB.
const PROTOCOL_VERSION: u16 = 0x020c;
/// `type_of_loader`: one without a number of its own.
const LOADER_UNKNOWN: u8 = 0xff;
/// `E820_TYPE_RAM`.
const TYPE_RAM: u32 = 1;
/// `E820_TYPE_RESERVED`.
const TYPE_RESERVED: u32 = 2;

/// Writes all that the kernel is told, with the memory that it is to find; the boot vCPU's RSI then holds
/// [`layout::BOOT_PARAMS`].
///
/// # Errors
/// Guest memory is too small for the structures, or the command line too long.
pub fn write(
    memory: &GuestRam,
    found: &[MemoryRange],
    cmdline: &str,
    initramfs: &LoadedInitramfs,
) -> Result<(), BootError> {
    if cmdline.len() >= layout::CMDLINE_MAX_BYTES {
        return Err(BootError::CmdlineTooLong(cmdline.len()));
    }
    memory.write_slice(cmdline.as_bytes(), GuestAddress(layout::CMDLINE))?;
    memory.write_obj(0_u8, GuestAddress(layout::CMDLINE + cmdline.len() as u64))?;

    let mut params = boot_params::default();
    params.hdr.boot_flag = BOOT_FLAG;
    params.hdr.header = HEADER_MAGIC;
    params.hdr.version = PROTOCOL_VERSION;
    params.hdr.type_of_loader = LOADER_UNKNOWN;
    params.hdr.cmd_line_ptr = u32::try_from(layout::CMDLINE).unwrap_or_default();
    params.hdr.cmdline_size = u32::try_from(cmdline.len()).unwrap_or_default();
    // Both lie below the device window, at 3 GiB.
    params.hdr.ramdisk_image = u32::try_from(initramfs.start.raw_value()).unwrap_or_default();
    params.hdr.ramdisk_size = u32::try_from(initramfs.length_bytes).unwrap_or_default();
    for (entry, place) in memory_map(found).into_iter().zip(&mut params.e820_table) {
        *place = entry;
        params.e820_entries += 1;
    }
    memory.write_obj(params, GuestAddress(layout::BOOT_PARAMS))?;
    Ok(())
}

/// RAM as it is, but for the hole between the MP table and 1 MiB.
fn memory_map(found: &[MemoryRange]) -> Vec<boot_e820_entry> {
    let entry = |start: u64, end: u64, type_| boot_e820_entry { addr: start, size: end - start, type_ };
    let mut map = vec![
        entry(0, layout::MP_TABLE, TYPE_RAM),
        entry(layout::MP_TABLE, layout::HIGH_RAM_START, TYPE_RESERVED),
    ];
    for range in found {
        let start = range.start.max(layout::HIGH_RAM_START);
        if start < range.end() {
            map.push(entry(start, range.end(), TYPE_RAM));
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use holm_protocol::vm_memory::ranges;

    use super::*;
    use crate::memory;

    const INITRAMFS: LoadedInitramfs = LoadedInitramfs { start: GuestAddress(0x300_0000), length_bytes: 77 };

    /// Start, end and type of each entry.
    fn of_map(entries: &[boot_e820_entry]) -> Vec<(u64, u64, u32)> {
        entries.iter().map(|&boot_e820_entry { addr, size, type_ }| (addr, addr + size, type_)).collect()
    }

    #[test]
    fn the_kernel_finds_everything() {
        let memory = memory::allocate(64).unwrap();
        write(&memory, &ranges(64), "panic=-1", &INITRAMFS).unwrap();
        let params: boot_params = memory.read_obj(GuestAddress(layout::BOOT_PARAMS)).unwrap();
        let hdr = params.hdr;
        assert_eq!(({ hdr.boot_flag }, { hdr.header }), (BOOT_FLAG, HEADER_MAGIC));
        assert_eq!(({ hdr.ramdisk_image }, { hdr.ramdisk_size }), (0x300_0000, 77));
        let mut cmdline = [0xff; 9];
        memory.read_slice(&mut cmdline, GuestAddress({ hdr.cmd_line_ptr }.into())).unwrap();
        assert_eq!(&cmdline, b"panic=-1\0");
        let table = { params.e820_table };
        let map = of_map(&table[..params.e820_entries.into()]);
        assert_eq!(map.last(), Some(&(1 << 20, 64 << 20, TYPE_RAM)));
    }

    #[test]
    fn the_memory_map_skips_the_device_window() {
        assert_eq!(
            of_map(&memory_map(&ranges(5120))),
            [
                (0, 0x9_fc00, TYPE_RAM),
                (0x9_fc00, 1 << 20, TYPE_RESERVED),
                (1 << 20, 3 << 30, TYPE_RAM),
                (4 << 30, 6 << 30, TYPE_RAM)
            ]
        );
    }

    #[test]
    fn a_long_command_line_is_refused() {
        let memory = memory::allocate(64).unwrap();
        let longest = "x".repeat(layout::CMDLINE_MAX_BYTES - 1);
        assert!(write(&memory, &ranges(64), &longest, &INITRAMFS).is_ok());
        let error = write(&memory, &ranges(64), &format!("{longest}x"), &INITRAMFS).unwrap_err();
        assert!(matches!(error, BootError::CmdlineTooLong(2048)));
    }
}
