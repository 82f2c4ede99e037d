//! A VM that boots: a kernel in its memory, and the first vCPU before it.

use holm_protocol::vm_config::VmConfig;
use holm_protocol::vm_memory;
use kvm_ioctls::Kvm;

use super::{MachineError, Parts, vm};
use crate::boot::{self, BootError};
use crate::memory;
use crate::probe;
use crate::vcpu::Vcpu;

/// Makes a VM that will boot.
pub(super) fn boot(kvm: &Kvm, config: &VmConfig) -> Result<Parts, MachineError> {
    probe::refuse_interpretation(kvm)?;
    let mut parts = Parts::new(kvm, config, memory::allocate(config.memory_mib)?)?;
    holm_faults::fault!("vmm.boot.memory").map_err(MachineError::Event)?;
    let memory = &parts.memory;
    let kernel = boot::kernel::load(memory, &config.boot.kernel)?;
    let found = vm_memory::ranges(config.boot_memory_mib());
    let initramfs = boot::initramfs::load(memory, &found, &config.boot.initramfs, kernel.end)?;
    tracing::debug!(?kernel, ?initramfs, "loaded");

    holm_faults::fault!("vmm.boot.loaded").map_err(MachineError::Event)?;
    parts.slots.plug_vsock(config, None)?;
    let cmdline = boot::cmdline::assemble(config, parts.slots.vsock_place());
    boot::boot_params::write(memory, &found, &cmdline, &initramfs)?;
    boot::page_tables::write(memory).map_err(BootError::from)?;
    boot::mptable::write(memory, config.vcpus)?;
    tracing::debug!(cmdline, "ready to boot");

    holm_faults::fault!("vmm.boot.vcpus").map_err(MachineError::Event)?;
    let supported = vm::supported_cpuid(kvm)?;
    parts.vcpus = (0..config.vcpus)
        .map(|id| Vcpu::new(&parts.vm, id, config.vcpus, &supported))
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(boot_vcpu) = parts.vcpus.first() {
        boot_vcpu.boot_at(kernel.entry)?;
    }
    Ok(parts)
}
