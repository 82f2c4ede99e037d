//! The least that a program can do with KVM: a VM with one vCPU and a MiB of memory, in which a loop of a thousand turns runs. `restore` is held
//! against it.

use anyhow::{Result, bail};
use holm_vmm::kvm::give_memory;
use holm_vmm::memory::{Bytes, GuestAddress, allocate};
use kvm_bindings::kvm_regs;
use kvm_ioctls::{Kvm, VcpuExit};

/// `dec ecx; jnz .-2; hlt`, in 16 bits.
const CODE: [u8; 5] = [0x66, 0x49, 0x75, 0xfc, 0xf4];
const TURNS: u64 = 1000;

/// Makes the VM and has it run to its end.
pub(crate) fn run() -> Result<()> {
    let memory = allocate(1)?;
    memory.write_slice(&CODE, GuestAddress(0))?;
    let vm = Kvm::new()?.create_vm()?;
    give_memory(&vm, &memory)?;
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
