//! A template of the VM, made while it stands still; then it goes on.
//!
//! The main thread does it, so the devices that it serves stand still as well, and the others are refused if the guest uses
//! them already.

use std::fs::File;
use std::io::Write;

use holm_protocol::causes::with_causes;
use holm_protocol::vm_exit::VmExit;

use super::{Machine, MachineError, STOP_PATIENCE, vm};
use crate::template::{self, Template};
use crate::vcpu::{self, Stopped, Vcpu};

impl Machine {
    /// Writes the VM into two empty files.
    ///
    /// # Errors
    /// It goes on all the same, unless a vCPU does not stop or start: then it ends.
    pub(super) fn save(&mut self, state: &File, memory: &File) -> Result<(), MachineError> {
        let Some(threads) = self.threads.take() else { return Err(MachineError::Held) };
        let Stopped::All(mut vcpus) = threads.stop(STOP_PATIENCE) else {
            self.ending.report(VmExit::Internal("a vCPU does not stop to be saved".to_owned()));
            return Err(MachineError::Held);
        };
        // A VM that ended meanwhile lacks vCPUs, and is none to go on from.
        let saved = match self.ending.get() {
            Some(_) => Err(MachineError::Ended),
            None => self.write(&mut vcpus, state, memory),
        };
        match vcpu::start(vcpus, &self.bus, &self.ending) {
            Ok(threads) => self.threads = Some(threads),
            Err(error) => self.ending.report(VmExit::Internal(with_causes(&error))),
        }
        saved
    }

    fn write(&self, vcpus: &mut [Vcpu], mut state: &File, memory: &File) -> Result<(), MachineError> {
        // First: it fails where nothing can be saved.
        let devices = vec![self.slots.saved()?];
        let indices =
            vcpu::msr_indices(&self.kvm).map_err(|source| vm::VmError { action: "list its MSRs", source })?;
        let vcpus = vcpus.iter_mut().map(|vcpu| vcpu.state(&indices)).collect::<Result<Vec<_>, _>>()?;
        let template = Template {
            memory_mib: self.boot_memory_mib,
            memory: template::save(&self.memory, &self.page_map, memory)?,
            vcpus,
            vm: vm::state(&self.vm)?,
            devices,
        };
        let written = state.write_all(&template::encode(&template)?);
        written.map_err(|source| MachineError::TemplateFile { action: "write the template's state", source })
    }
}
