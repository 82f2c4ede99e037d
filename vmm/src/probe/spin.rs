//! The throwaway VM: counts down in ring 0 and says when it is done.

use std::time::{Duration, Instant};

use kvm_bindings::kvm_regs;
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd};

use super::{ENOUGH_INSTRUCTIONS_PER_SECOND, LONG_ENOUGH, LONG_ENOUGH_TO_BE_SLOW, ProbeError};
use crate::kvm;
use crate::layout;
use crate::memory::{Bytes, GuestAddress};
use crate::vcpu::flat_32_bit;

const CODE_ADDRESS: u64 = 0x1000;
const DONE_PORT: u16 = 0xf4;
/// `dec ecx; jnz .-1; out 0xf4, al`: two instructions an iteration.
const CODE: [u8; 5] = [0x49, 0x75, 0xfd, 0xe6, 0xf4];
/// Enough for an interpreter to take some 80 ms, and hardware 0.1 ms.
const FIRST_ROUND: u64 = 100_000;

/// Instructions per second in ring 0.
pub(super) fn measure(kvm: &Kvm) -> Result<u64, ProbeError> {
    let failed = |action| move |source| ProbeError::Setup { action, source };
    let memory = crate::memory::allocate(1).map_err(ProbeError::Memory)?;
    let _ = memory.write_slice(&CODE, GuestAddress(CODE_ADDRESS));
    let vm = kvm.create_vm().map_err(failed("create a VM"))?;
    vm.set_identity_map_address(layout::IDENTITY_MAP).map_err(failed("place the identity map"))?;
    vm.set_tss_address(layout::TSS).map_err(failed("place the TSS"))?;
    kvm::give_memory(&vm, &memory).map_err(failed("give memory"))?;
    let mut vcpu = vm.create_vcpu(0).map_err(failed("create a vCPU"))?;
    flat_32_bit(&vcpu).map_err(failed("set registers"))?;

    // The first entry finds cold caches (and an emulated host has its code still to translate): it is not timed.
    count_down(&mut vcpu, 1)?;
    let mut iterations = FIRST_ROUND;
    loop {
        let elapsed = count_down(&mut vcpu, iterations)?;
        let per_second = u128::from(iterations) * 2 * 1_000_000_000 / elapsed.as_nanos().max(1);
        let per_second = u64::try_from(per_second).unwrap_or(u64::MAX);
        let is_fast = per_second >= ENOUGH_INSTRUCTIONS_PER_SECOND;
        if elapsed >= if is_fast { LONG_ENOUGH } else { LONG_ENOUGH_TO_BE_SLOW } {
            return Ok(per_second);
        }
        iterations *= 2;
    }
}

fn count_down(vcpu: &mut VcpuFd, iterations: u64) -> Result<Duration, ProbeError> {
    let regs = kvm_regs { rip: CODE_ADDRESS, rcx: iterations, rflags: 2, ..Default::default() };
    vcpu.set_regs(&regs).map_err(|source| ProbeError::Setup { action: "set registers", source })?;
    let start = Instant::now();
    match vcpu.run() {
        Ok(VcpuExit::IoOut(DONE_PORT, _)) => Ok(start.elapsed()),
        Ok(other) => Err(ProbeError::UnexpectedExit(format!("KVM exit {other:?}"))),
        Err(error) => Err(ProbeError::UnexpectedExit(format!("error {error}"))),
    }
}
