//! The PVH start info and what it points to: memory map, module list, command line.

use linux_loader::loader::elf::start_info::{hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info};

use super::BootError;
use super::initramfs::LoadedInitramfs;
use crate::layout;
use crate::memory::{Address, Bytes, GuestAddress, GuestMemory, GuestMemoryRegion, GuestRam};

/// `XEN_HVM_START_MAGIC_VALUE`.
const START_MAGIC: u32 = 0x336e_c578;
/// `XEN_HVM_MEMMAP_TYPE_RAM`.
const TYPE_RAM: u32 = 1;
/// `XEN_HVM_MEMMAP_TYPE_RESERVED`.
const TYPE_RESERVED: u32 = 2;

/// Writes all that the kernel is told; the boot vCPU's EBX then holds [`layout::START_INFO`].
///
/// # Errors
/// Guest memory is too small for the structures, or the command line too long.
pub fn write(memory: &GuestRam, cmdline: &str, initramfs: &LoadedInitramfs) -> Result<(), BootError> {
    if cmdline.len() >= layout::CMDLINE_MAX_BYTES {
        return Err(BootError::CmdlineTooLong(cmdline.len()));
    }
    memory.write_slice(cmdline.as_bytes(), GuestAddress(layout::CMDLINE))?;
    memory.write_obj(0_u8, GuestAddress(layout::CMDLINE + cmdline.len() as u64))?;

    let module = hvm_modlist_entry {
        paddr: initramfs.start.raw_value(),
        size: initramfs.length_bytes,
        ..Default::default()
    };
    memory.write_obj(module, GuestAddress(layout::MODULE_LIST))?;

    let map = memory_map(memory);
    let mut address = GuestAddress(layout::MEMORY_MAP);
    for entry in &map {
        memory.write_obj(*entry, address)?;
        address = address.unchecked_add(size_of::<hvm_memmap_table_entry>() as u64);
    }

    let start_info = hvm_start_info {
        magic: START_MAGIC,
        version: 1,
        nr_modules: 1,
        modlist_paddr: layout::MODULE_LIST,
        cmdline_paddr: layout::CMDLINE,
        memmap_paddr: layout::MEMORY_MAP,
        memmap_entries: u32::try_from(map.len()).unwrap_or(0),
        ..Default::default()
    };
    memory.write_obj(start_info, GuestAddress(layout::START_INFO))?;
    Ok(())
}

/// RAM as it is, but for the hole between the MP table and 1 MiB.
fn memory_map(memory: &GuestRam) -> Vec<hvm_memmap_table_entry> {
    let entry = |start: u64, end: u64, type_| hvm_memmap_table_entry {
        addr: start,
        size: end - start,
        type_,
        reserved: 0,
    };
    let mut map = vec![
        entry(0, layout::MP_TABLE, TYPE_RAM),
        entry(layout::MP_TABLE, layout::HIGH_RAM_START, TYPE_RESERVED),
    ];
    for region in memory.iter() {
        let start = region.start_addr().raw_value().max(layout::HIGH_RAM_START);
        let end = region.start_addr().raw_value().saturating_add(region.len());
        if start < end {
            map.push(entry(start, end, TYPE_RAM));
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory;

    const INITRAMFS: LoadedInitramfs = LoadedInitramfs { start: GuestAddress(0x300_0000), length_bytes: 77 };

    #[test]
    fn the_kernel_finds_everything() {
        let memory = memory::allocate(64).unwrap();
        write(&memory, "panic=-1", &INITRAMFS).unwrap();
        let info: hvm_start_info = memory.read_obj(GuestAddress(layout::START_INFO)).unwrap();
        assert_eq!((info.magic, info.version, info.nr_modules), (START_MAGIC, 1, 1));
        let module: hvm_modlist_entry = memory.read_obj(GuestAddress(info.modlist_paddr)).unwrap();
        assert_eq!((module.paddr, module.size), (0x300_0000, 77));
        let mut cmdline = [0xff; 9];
        memory.read_slice(&mut cmdline, GuestAddress(info.cmdline_paddr)).unwrap();
        assert_eq!(&cmdline, b"panic=-1\0");
        assert_eq!(info.memmap_entries, 3);
        let last: hvm_memmap_table_entry = memory.read_obj(GuestAddress(info.memmap_paddr + 48)).unwrap();
        assert_eq!((last.addr, last.addr + last.size, last.type_), (1 << 20, 64 << 20, TYPE_RAM));
    }

    #[test]
    fn the_memory_map_skips_the_device_window() {
        let map = memory_map(&memory::allocate(5120).unwrap());
        let seen: Vec<_> = map.iter().map(|e| (e.addr, e.addr + e.size, e.type_)).collect();
        assert_eq!(
            seen,
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
        assert!(write(&memory, &longest, &INITRAMFS).is_ok());
        let error = write(&memory, &format!("{longest}x"), &INITRAMFS).unwrap_err();
        assert!(matches!(error, BootError::CmdlineTooLong(2048)));
    }
}
