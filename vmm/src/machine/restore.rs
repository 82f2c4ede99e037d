//! A VM that goes on from a template: nothing boots. KVM is not probed again, since the template ran on it.

use std::fs::File;

use holm_protocol::vm_config::{TemplateConfig, VmConfig};
use kvm_ioctls::Kvm;

use super::plug::SlotError;
use super::{MachineError, Parts, vm};
use crate::memory;
use crate::template;
use crate::vcpu::Vcpu;

/// Makes a VM that will go on where the template stood, with vsock connections gone and the clock where it was.
///
/// # Errors
/// The template cannot be used; nothing of the guest has run.
pub(super) fn restore(kvm: &Kvm, config: &VmConfig, files: &TemplateConfig) -> Result<Parts, MachineError> {
    let saved = template::read(&files.state)?;
    if saved.memory_mib != config.boot_memory_mib() || saved.vcpus.len() != usize::from(config.vcpus) {
        return Err(MachineError::TemplateSize { memory_mib: saved.memory_mib, vcpus: saved.vcpus.len() });
    }
    let file = File::open(&files.memory)
        .map_err(|source| MachineError::TemplateFile { action: "open the template's memory", source })?;
    if files.check_memory {
        template::verify(&file, &saved.memory)?;
    }
    let ram = memory::allocate(config.memory_mib)?;
    template::map(&ram, &file, &saved.memory)?;
    let mut parts = Parts::new(kvm, config, ram)?;
    // In this order: the VM's interrupt controllers deliver to vCPUs, and devices raise what they had raised.
    for (id, state) in (0..).zip(&saved.vcpus) {
        parts.vcpus.push(Vcpu::restored(&parts.vm, id, state)?);
    }
    vm::restore(&parts.vm, &saved.vm)?;
    let [vsock] = saved.devices.as_slice() else { return Err(SlotError::Foreign.into()) };
    parts.slots.plug_vsock(config, Some(vsock))?;
    tracing::debug!("restored");
    Ok(parts)
}
