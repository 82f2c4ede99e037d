//! `holm update` of a container that has a supervisor: its limits change while it runs, as far as its VM allows
//! (docs/decisions/0024-update-and-vm-size.md).

use holm_protocol::causes::with_causes;

use super::net::network_rates;
use super::run::Supervisor;
use crate::bundle;
use crate::container::settings::{Limits, Settings};
use crate::sandbox::{VmShape, WRITABLE_DISK, confine_process};
use crate::volume::{self, VolumeStore};

impl Supervisor {
    /// Changes limits, in the guest and on the host, and keeps them for later starts.
    pub(super) fn update(&mut self, change: &Limits) -> Result<(), String> {
        let settings = self.container.settings().map_err(|error| error.to_string())?;
        let limits = settings.limits.changed(change).map_err(|error| error.to_string())?;
        let settings = self.container.record.settings.limited(limits.clone());
        let volumes = VolumeStore::new(self.store.directories().clone());
        volume::check_rates(&settings, &volumes).map_err(|error| error.to_string())?;
        // Between two lives there is no VM to change.
        if self.vm.sandbox.is_some() {
            self.change_running(&settings, change)?;
            self.change_rates(&settings, change, &volumes).map_err(|error| with_causes(&*error))?;
        }
        self.container.set_limits(&limits).map_err(|error| error.to_string())
    }

    /// Has the VMM limit disks and networks to other rates, if they are other ones.
    fn change_rates(
        &self,
        settings: &Settings,
        change: &Limits,
        volumes: &VolumeStore,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let Some(sandbox) = &self.vm.sandbox else { return Ok(()) };
        let control = &sandbox.vmm.control;
        if change.net_rate_in.is_some() || change.net_rate_out.is_some() {
            control.set_network_rates(network_rates(settings))?;
        }
        if !change.device_rates.is_empty() {
            control.set_disk_rates(Some(WRITABLE_DISK), settings.device_rates.of("/"))?;
            for (disk, rates) in volume::disk_rates(settings, volumes)? {
                control.set_disk_rates(Some(&disk), rates)?;
            }
        }
        Ok(())
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
        let is_of_processors =
            change.cpus.is_some() || change.cpu_quota.is_some() || change.cpu_period.is_some();
        if is_of_processors && needs.vcpus > has.vcpus {
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
