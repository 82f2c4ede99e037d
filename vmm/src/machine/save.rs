//! A template or a checkpoint of the VM, made while it stands still.
//!
//! ```text
//!   template:    vCPUs stop ──> written ──> vCPUs go on
//!   checkpoint:  vCPUs stop ──> devices' threads end ──> written ──> (the host copies the disks) ──GoOn──> threads, vCPUs go on
//! ```
//!
//! The main thread does it, so the devices that it serves stand still as well. For a template the others are refused if the guest
//! uses them already.

use std::fs::File;
use std::io::Write;

use holm_protocol::causes::with_causes;
use holm_protocol::vm_control::SaveScope;
use holm_protocol::vm_exit::VmExit;

use super::{Machine, MachineError, SAVE_PATIENCE, vm};
use crate::template::{self, Template};
use crate::vcpu::{self, Stopped, Vcpu};

impl Machine {
    /// Writes the VM into two empty files. It stands still afterwards if it is a checkpoint.
    ///
    /// # Errors
    /// It goes on all the same, unless a vCPU or a device does not stop or start: then it ends.
    pub(super) fn save(&mut self, scope: SaveScope, state: &File, memory: &File) -> Result<(), MachineError> {
        let Some(threads) = self.threads.take() else { return Err(MachineError::Held) };
        let Stopped::All(mut vcpus) = threads.stop(SAVE_PATIENCE) else {
            self.ending.report(VmExit::Internal("a vCPU does not stop to be saved".to_owned()));
            return Err(MachineError::Held);
        };
        holm_faults::crash!("vmm.save.stopped");
        // A VM that ended meanwhile lacks vCPUs, and is none to go on from.
        let saved = match self.ending.get() {
            Some(_) => Err(MachineError::Ended),
            None => {
                if scope == SaveScope::Everything {
                    self.slots.rest();
                }
                self.write(scope, &mut vcpus, state, memory)
            }
        };
        holm_faults::crash!("vmm.save.written");
        self.resting = Some(vcpus);
        if saved.is_err() || scope == SaveScope::Template {
            self.go_on()?;
        }
        saved
    }

    /// Lets the VM go on that stands still.
    ///
    /// # Errors
    /// It does not stand still, or cannot go on and ends.
    pub(super) fn go_on(&mut self) -> Result<(), MachineError> {
        holm_faults::crash!("vmm.go-on");
        let vcpus = self.resting.take().ok_or(MachineError::Runs)?;
        let gone_on = self.slots.go_on().and_then(|()| Ok(vcpu::start(vcpus, &self.bus, &self.ending)?));
        match gone_on {
            Ok(threads) => self.threads = Some(threads),
            Err(error) => {
                self.ending.report(VmExit::Internal(with_causes(&error)));
                return Err(error);
            }
        }
        Ok(())
    }

    fn write(
        &self,
        scope: SaveScope,
        vcpus: &mut [Vcpu],
        mut state: &File,
        memory: &File,
    ) -> Result<(), MachineError> {
        // First: it fails where nothing can be saved.
        holm_faults::fault!("vmm.save.memory")
            .map_err(|source| MachineError::TemplateFile { action: "write the memory", source })?;
        let devices = self.slots.saved(scope)?;
        let indices =
            vcpu::msr_indices(&self.kvm).map_err(|source| vm::VmError { action: "list its MSRs", source })?;
        let vcpus = vcpus.iter_mut().map(|vcpu| vcpu.state(&indices)).collect::<Result<Vec<_>, _>>()?;
        let template = Template {
            memory_mib: match scope {
                SaveScope::Template => self.boot_memory_mib,
                SaveScope::Everything => self.memory_mib,
            },
            memory: template::save(&self.memory, &self.page_map, &self.mapped, memory)?,
            vcpus,
            vm: vm::state(&self.vm)?,
            devices,
        };
        let encoded = template::encode(&template)?;
        let written = holm_faults::fault!("vmm.save.state").and_then(|()| state.write_all(&encoded));
        written.map_err(|source| MachineError::TemplateFile { action: "write the state", source })
    }
}
