//! A VM that goes on from a template or a checkpoint: nothing boots. KVM is not probed again, since the saved VM ran on it.

use std::fs::File;

use holm_protocol::vm_config::{FIRST_TOLD_SLOT, TemplateConfig, VSOCK_SLOT, VmConfig};
use kvm_ioctls::Kvm;

use super::{MachineError, Parts, SlotError, vm};
use crate::memory;
use crate::template;
use crate::vcpu::Vcpu;

/// Makes a VM that will go on where the saved one stood, with vsock connections gone and the clock where it was.
///
/// # Errors
/// It cannot be used; nothing of the guest has run.
pub(super) fn restore(kvm: &Kvm, config: &VmConfig, files: &TemplateConfig) -> Result<Parts, MachineError> {
    holm_faults::fault!("vmm.restore.state")
        .map_err(|source| MachineError::TemplateFile { action: "read the saved state", source })?;
    let saved = template::read(&files.state)?;
    if saved.memory_mib != config.boot_memory_mib() || saved.vcpus.len() != usize::from(config.vcpus) {
        return Err(MachineError::TemplateSize { memory_mib: saved.memory_mib, vcpus: saved.vcpus.len() });
    }
    let file = holm_faults::fault!("vmm.restore.memory")
        .and_then(|()| File::open(&files.memory))
        .map_err(|source| MachineError::TemplateFile { action: "open the saved memory", source })?;
    if files.check_memory {
        template::verify(&file, &saved.memory)?;
    }
    holm_faults::fault!("vmm.restore.verified")
        .map_err(|source| MachineError::TemplateFile { action: "map the saved memory", source })?;
    let ram = memory::allocate(config.memory_mib)?;
    template::map(&ram, &file, &saved.memory)?;
    // Beside the making of the VM, and over before the jail, which only processes of one thread can enter.
    let copying = template::copy_ahead(&ram, &files.written).map_err(MachineError::Event)?;
    let made = Parts::new(kvm, config, ram);
    // It does not panic.
    let _ = copying.join();
    let mut parts = made?;
    // In this order: the VM's interrupt controllers deliver to vCPUs, and devices raise what they had raised.
    for (id, state) in (0..).zip(&saved.vcpus) {
        parts.vcpus.push(Vcpu::restored(&parts.vm, id, state)?);
    }
    holm_faults::fault!("vmm.restore.vcpus").map_err(MachineError::Event)?;
    vm::restore(&parts.vm, &saved.vm)?;
    parts.mapped = saved.memory.runs;
    let mut devices = saved.devices.into_iter();
    let vsock = devices.next().filter(|first| first.slot == VSOCK_SLOT);
    let vsock = vsock.ok_or(SlotError::Foreign(VSOCK_SLOT))?;
    parts.slots.plug_vsock(config, Some(&vsock.device))?;
    parts.saved = devices.collect();
    if parts.saved.is_empty() == files.is_checkpoint {
        return Err(SlotError::Foreign(FIRST_TOLD_SLOT).into());
    }
    holm_faults::crash!("vmm.restored");
    tracing::debug!("restored");
    Ok(parts)
}
