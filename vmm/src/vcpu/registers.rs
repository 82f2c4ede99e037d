//! The boot vCPU's first state: 32-bit protected mode, flat segments, no paging (PVH, "x86/HVM direct boot ABI").

use kvm_bindings::{CpuId, kvm_regs, kvm_segment, kvm_xcr, kvm_xcrs};
use kvm_ioctls::VcpuFd;

use crate::layout;
use crate::memory::GuestAddress;

const CR0_PROTECTED: u64 = 1;
const CR0_EXTENSION_TYPE: u64 = 1 << 4;
/// The bit of RFLAGS that is always one.
const RFLAGS_RESERVED: u64 = 2;

/// EIP at the entry point, EBX at the start info.
pub(super) fn set_pvh(fd: &VcpuFd, entry: GuestAddress) -> Result<(), kvm_ioctls::Error> {
    flat_32_bit(fd)?;
    fd.set_regs(&kvm_regs {
        rip: entry.0,
        rbx: layout::START_INFO,
        rflags: RFLAGS_RESERVED,
        ..Default::default()
    })
}

/// Enables every state component that CPUID offers in XCR0, as Linux does first thing on each CPU. On hardware this changes
/// nothing; where SVM is emulated without an XSETBV intercept (QEMU's TCG), KVM would never learn what the guest enabled
/// and take it away again at the next entry.
pub(super) fn enable_state_components(fd: &VcpuFd, cpuid: &CpuId) -> Result<(), kvm_ioctls::Error> {
    const STATE_COMPONENTS: u32 = 0xd;
    let leaf = cpuid.as_slice().iter().find(|e| (e.function, e.index) == (STATE_COMPONENTS, 0));
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
    const CODE_EXECUTE_READ_ACCESSED: u8 = 0xb;
    const DATA_READ_WRITE_ACCESSED: u8 = 0x3;
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
    let code = flat(0x8, CODE_EXECUTE_READ_ACCESSED);
    let data = flat(0x10, DATA_READ_WRITE_ACCESSED);
    let task = kvm_segment {
        limit: 0x67,
        selector: 0x18,
        type_: 0xb, // busy 32-bit TSS
        present: 1,
        ..Default::default()
    };
    let mut sregs = fd.get_sregs()?;
    sregs.cs = code;
    (sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss) = (data, data, data, data, data);
    sregs.tr = task;
    sregs.cr0 = CR0_PROTECTED | CR0_EXTENSION_TYPE;
    sregs.cr4 = 0;
    sregs.efer = 0;
    fd.set_sregs(&sregs)
}
