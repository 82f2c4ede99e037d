//! vCPUs' first states: the kernel's entry in 64-bit mode, and the 32-bit mode without paging in which the probe runs.

use kvm_bindings::{kvm_cpuid_entry2, kvm_regs, kvm_segment, kvm_sregs, kvm_xcr, kvm_xcrs};
use kvm_ioctls::VcpuFd;

use crate::boot::page_tables::GDT_LIMIT;
use crate::layout;
use crate::memory::GuestAddress;

const CR0_PROTECTED: u64 = 1;
const CR0_EXTENSION_TYPE: u64 = 1 << 4;
const CR0_PAGING: u64 = 1 << 31;
const CR4_PHYSICAL_ADDRESS_EXTENSION: u64 = 1 << 5;
const EFER_LONG_MODE: u64 = 1 << 8 | 1 << 10; // enabled and active
/// The bit of RFLAGS that is always one.
const RFLAGS_RESERVED: u64 = 2;
const CODE_EXECUTE_READ_ACCESSED: u8 = 0xb;
const DATA_READ_WRITE_ACCESSED: u8 = 0x3;

/// 64-bit mode with the page tables and descriptors of [`crate::boot::page_tables`]: RIP at the entry point, RSI at the boot
/// parameters, interrupts off (Linux Documentation/arch/x86/boot.rst, "64-bit Boot Protocol").
pub(super) fn set_64_bit(fd: &VcpuFd, entry: GuestAddress) -> Result<(), kvm_ioctls::Error> {
    let mut sregs = flat_segments(fd.get_sregs()?, 0x10, 0x18);
    sregs.cs.l = 1;
    sregs.cs.db = 0;
    (sregs.gdt.base, sregs.gdt.limit) = (layout::GDT, GDT_LIMIT);
    sregs.cr0 = CR0_PROTECTED | CR0_EXTENSION_TYPE | CR0_PAGING;
    sregs.cr3 = layout::PAGE_MAP;
    sregs.cr4 = CR4_PHYSICAL_ADDRESS_EXTENSION;
    sregs.efer = EFER_LONG_MODE;
    fd.set_sregs(&sregs)?;
    fd.set_regs(&kvm_regs {
        rip: entry.0,
        rsi: layout::BOOT_PARAMS,
        rflags: RFLAGS_RESERVED,
        ..Default::default()
    })
}

/// Enables every state component that CPUID offers in XCR0, as Linux does first thing on each CPU. On hardware this changes
/// nothing; where SVM is emulated without an XSETBV intercept (QEMU's TCG), KVM would never learn what the guest enabled
/// and take it away again at the next entry.
pub(super) fn enable_state_components(
    fd: &VcpuFd,
    cpuid: &[kvm_cpuid_entry2],
) -> Result<(), kvm_ioctls::Error> {
    const STATE_COMPONENTS: u32 = 0xd;
    let leaf = cpuid.iter().find(|e| (e.function, e.index) == (STATE_COMPONENTS, 0));
    let offered = leaf.map_or(0, |e| u64::from(e.eax) | u64::from(e.edx) << 32);
    if offered == 0 {
        return Ok(());
    }
    let mut xcrs = kvm_xcrs { nr_xcrs: 1, ..Default::default() };
    xcrs.xcrs[0] = kvm_xcr { xcr: 0, value: offered, ..Default::default() };
    fd.set_xcrs(&xcrs)
}

/// 32-bit ring 0 with all segments flat and paging off; general registers as they were.
///
/// # Errors
/// KVM refuses.
pub fn flat_32_bit(fd: &VcpuFd) -> Result<(), kvm_ioctls::Error> {
    let mut sregs = flat_segments(fd.get_sregs()?, 0x8, 0x10);
    sregs.cr0 = CR0_PROTECTED | CR0_EXTENSION_TYPE;
    sregs.cr4 = 0;
    sregs.efer = 0;
    fd.set_sregs(&sregs)
}

/// Ring 0 with all of the address space in each segment, which these selectors name.
fn flat_segments(mut sregs: kvm_sregs, code_selector: u16, data_selector: u16) -> kvm_sregs {
    let flat = |selector, type_| kvm_segment {
        base: 0,
        limit: u32::MAX,
        selector,
        type_,
        present: 1,
        db: 1,
        s: 1,
        g: 1,
        ..Default::default()
    };
    let data = flat(data_selector, DATA_READ_WRITE_ACCESSED);
    sregs.cs = flat(code_selector, CODE_EXECUTE_READ_ACCESSED);
    (sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss) = (data, data, data, data, data);
    sregs.tr = kvm_segment {
        limit: 0x67,
        selector: 0x20,
        type_: 0xb, // busy TSS
        present: 1,
        ..Default::default()
    };
    sregs
}
