//! The VM as KVM sees it: memory, interrupt controllers, the pages that KVM keeps.

use kvm_bindings::{
    CpuId, KVM_CAP_PMU_CAPABILITY, KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE,
    KVM_MAX_CPUID_ENTRIES, KVM_PMU_CAP_DISABLE, kvm_clock_data, kvm_enable_cap, kvm_irqchip,
};
use kvm_ioctls::{Kvm, VmFd};

use crate::kvm;
use crate::layout;
use crate::memory::GuestRam;
use crate::template::VmState;

const INTERRUPT_CONTROLLERS: [u32; 3] = [KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, KVM_IRQCHIP_IOAPIC];

/// KVM refuses.
#[derive(Debug, thiserror::Error)]
#[error("KVM: cannot {action}")]
pub struct VmError {
    /// What was tried.
    pub action: &'static str,
    /// What KVM said.
    pub source: kvm_ioctls::Error,
}

pub(super) fn failed(action: &'static str) -> impl Fn(kvm_ioctls::Error) -> VmError {
    move |source| VmError { action, source }
}

/// Makes a VM with this memory, IOAPIC and local APICs, and no PIT: Linux takes its time from kvmclock and the local
/// APIC's TSC deadline.
///
/// # Errors
/// KVM refuses.
pub(super) fn create(kvm: &Kvm, memory: &GuestRam) -> Result<VmFd, VmError> {
    let vm = kvm.create_vm().map_err(failed("create a VM"))?;
    vm.set_identity_map_address(layout::IDENTITY_MAP).map_err(failed("place its identity map"))?;
    vm.set_tss_address(layout::TSS).map_err(failed("place its TSS"))?;
    disable_performance_counters(&vm)?;
    vm.create_irq_chip().map_err(failed("create interrupt controllers"))?;
    kvm::give_memory(&vm, memory).map_err(failed("give it memory"))?;
    Ok(vm)
}

/// Less to emulate and to attack, where KVM can (Linux 5.18); CPUID does not show them either.
fn disable_performance_counters(vm: &VmFd) -> Result<(), VmError> {
    let offered = vm.check_extension_raw(KVM_CAP_PMU_CAPABILITY.into());
    if u32::try_from(offered).is_ok_and(|offered| offered & KVM_PMU_CAP_DISABLE != 0) {
        let mut capability = kvm_enable_cap { cap: KVM_CAP_PMU_CAPABILITY, ..Default::default() };
        capability.args[0] = KVM_PMU_CAP_DISABLE.into();
        vm.enable_cap(&capability).map_err(failed("disable performance counters"))?;
    }
    Ok(())
}

/// What KVM keeps beside vCPUs and memory. The vCPUs stand still.
///
/// # Errors
/// KVM refuses.
pub(super) fn state(vm: &VmFd) -> Result<VmState, VmError> {
    let clock = vm.get_clock().map_err(failed("read its clock"))?;
    let mut interrupt_controllers =
        INTERRUPT_CONTROLLERS.map(|chip_id| kvm_irqchip { chip_id, ..Default::default() });
    for chip in &mut interrupt_controllers {
        vm.get_irqchip(chip).map_err(failed("read its interrupt controllers"))?;
    }
    Ok(VmState { interrupt_controllers, clock })
}

/// Lets a VM, whose vCPUs are there, go on as `state` says. Its clock goes on from where it stood.
///
/// # Errors
/// KVM refuses.
pub(super) fn restore(vm: &VmFd, state: &VmState) -> Result<(), VmError> {
    for chip in &state.interrupt_controllers {
        vm.set_irqchip(chip).map_err(failed("set its interrupt controllers"))?;
    }
    let clock = kvm_clock_data { clock: state.clock.clock, ..Default::default() };
    vm.set_clock(&clock).map_err(failed("set its clock"))
}

/// What KVM can offer of CPUID.
///
/// # Errors
/// KVM refuses.
pub(super) fn supported_cpuid(kvm: &Kvm) -> Result<CpuId, VmError> {
    kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).map_err(failed("list its CPUID"))
}
