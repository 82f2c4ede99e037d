//! `holm update` of a container that has a supervisor: its limits change while it runs, as far as its VM allows
//! (docs/decisions/0024-update-and-vm-size.md).

use super::run::Supervisor;
use crate::bundle;
use crate::container::settings::{Limits, Settings};
use crate::sandbox::{VmShape, confine_process};

impl Supervisor {
    /// Changes limits, in the guest and on the host, and keeps them for later starts.
    pub(super) fn update(&mut self, change: &Limits) -> Result<(), String> {
        let settings = self.container.settings().map_err(|error| error.to_string())?;
        let limits = settings.limits.changed(change).map_err(|error| error.to_string())?;
        // Between two lives there is no VM to change.
        if self.vm.sandbox.is_some() {
            self.change_running(&Settings { limits: limits.clone(), ..settings }, change)?;
        }
        self.container.set_limits(&limits).map_err(|error| error.to_string())
    }

    fn change_running(&self, settings: &Settings, change: &Limits) -> Result<(), String> {
        let agent = self.running_agent()?;
        let Some(sandbox) = &self.vm.sandbox else { return Ok(()) };
        let (has, needs) = (sandbox.shape, VmShape::for_settings(settings));
        let advice = "stop the container first, then it applies at the next start";
        if change.memory.is_some() && needs.memory_mib > has.memory_mib {
            return Err(format!(
                "that memory limit needs a VM of {} MiB and the running one has {} MiB: {advice}, or make it with \
                 --vm-memory",
                needs.memory_mib, has.memory_mib
            ));
        }
        if change.cpus.is_some() && needs.vcpus > has.vcpus {
            return Err(format!(
                "that many CPUs need a VM of {} and the running one has {}: {advice}, or make it with --vm-cpus",
                needs.vcpus, has.vcpus
            ));
        }
        agent
            .update_container(&bundle::limit_resources(&settings.limits))
            .map_err(|error| error.to_string())?;
        confine_process(sandbox.vmm.pid(), change.cpuset_cpus.as_ref(), change.cpu_shares).map_err(|error| {
            let cause = std::error::Error::source(&error);
            cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
        })
    }
}
