//! The least that a program can do with KVM: a VM with one vCPU and one page, in which a loop of a thousand turns runs. `restore` is held
//! against it.
#![allow(unsafe_code)] // KVM_SET_USER_MEMORY_REGION

use anyhow::{Result, bail};
use kvm_bindings::{kvm_regs, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm, VcpuExit};

const PAGE_BYTES: usize = 4096;
/// `dec ecx; jnz .-2; hlt`, in 16 bits.
const CODE: [u8; 5] = [0x66, 0x49, 0x75, 0xfc, 0xf4];
const TURNS: u64 = 1000;

/// Memory for the VM, where KVM wants it.
#[repr(C, align(4096))]
struct Page([u8; PAGE_BYTES]);

/// Makes the VM and has it run to its end.
pub(crate) fn run() -> Result<()> {
    let mut page = Box::new(Page([0; PAGE_BYTES]));
    page.0[..CODE.len()].copy_from_slice(&CODE);
    let vm = Kvm::new()?.create_vm()?;
    let slot = kvm_userspace_memory_region {
        slot: 0,
        flags: 0,
        guest_phys_addr: 0,
        memory_size: PAGE_BYTES as u64,
        userspace_addr: (&raw mut page.0) as u64,
    };
    // SAFETY: the page is as long as the slot says, lasts longer than the VM, and is not touched while that runs.
    unsafe { vm.set_user_memory_region(slot) }?;
    let mut vcpu = vm.create_vcpu(0)?;
    let mut segments = vcpu.get_sregs()?;
    segments.cs.base = 0;
    segments.cs.selector = 0;
    vcpu.set_sregs(&segments)?;
    vcpu.set_regs(&kvm_regs { rip: 0, rcx: TURNS, rflags: 2, ..Default::default() })?;
    match vcpu.run()? {
        VcpuExit::Hlt => Ok(()),
        other => bail!("the VM ended with {other:?}"),
    }
}
