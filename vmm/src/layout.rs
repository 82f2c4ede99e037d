//! The guest's physical address space: who lives where.
//!
//! ```text
//! 0x0000_0000  RAM: boot parameters, page tables, descriptors, command line, then (at 639 KiB) the MP table
//! 0x000a_0000  nothing (reserved in the memory map)
//! 0x0010_0000  RAM: kernel at its link address; initramfs at the top of the RAM below 3 GiB
//! 0xc000_0000  device window: virtio-mmio from 0xd000_0000, IOAPIC, local APIC, KVM's own three pages
//! 0x1_0000_0000  RAM that did not fit below 3 GiB
//! ```

pub use holm_protocol::vm_control::{FIRST_VIRTIO_GSI, VIRTIO_MMIO_BASE, VIRTIO_MMIO_STRIDE};
pub use holm_protocol::vm_memory::DEVICE_WINDOW_START;

/// The segment descriptors with which the kernel is entered.
pub const GDT: u64 = 0x500;
/// `boot_params` of Linux's boot protocol, one page.
pub const BOOT_PARAMS: u64 = 0x7000;
/// The page tables with which the kernel is entered: level 4, 3 and 2, a page each.
pub const PAGE_MAP: u64 = 0x9000;
/// The level 3 table.
pub const PAGE_DIRECTORY_POINTERS: u64 = 0xa000;
/// The level 2 table.
pub const PAGE_DIRECTORY: u64 = 0xb000;
/// The kernel command line, zero-terminated.
pub const CMDLINE: u64 = 0x2_0000;
/// Linux takes at most this many bytes of a command line, its final zero included (COMMAND_LINE_SIZE).
pub const CMDLINE_MAX_BYTES: usize = 2048;
/// The Intel MP floating pointer and table: the last KiB of base memory, where Linux looks for it.
pub const MP_TABLE: u64 = 0x9_fc00;
/// Room for the MP table in bytes.
pub const MP_TABLE_MAX_BYTES: usize = 0x400;
/// RAM resumes here after the legacy hole.
pub const HIGH_RAM_START: u64 = 0x10_0000;
/// Number of the IOAPIC's lines.
pub const IOAPIC_LINES: u32 = 24;
/// Most virtio-mmio devices: one line each.
pub const MAX_VIRTIO_DEVICES: usize = (IOAPIC_LINES - FIRST_VIRTIO_GSI) as usize;
/// The IOAPIC's registers, where KVM puts them.
pub const IOAPIC: u32 = 0xfec0_0000;
/// Each vCPU's local APIC.
pub const LOCAL_APIC: u32 = 0xfee0_0000;
/// A page that KVM keeps for itself on Intel.
pub const IDENTITY_MAP: u64 = 0xfffb_c000;
/// Three pages that KVM keeps for itself on Intel.
pub const TSS: usize = 0xfffb_d000;
