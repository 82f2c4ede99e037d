//! `holm volume prune`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::container::ContainerStore;
use holm_runtime::host::disk_usage_bytes;
use holm_runtime::volume::VolumeError;

use super::filter::{self, PruneFilter};
use super::{PruneOptions, Pruned, print_total};

/// Remove unused local volumes
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  holm volume prune\n  holm volume prune -a -f --filter label!=keep")]
pub(crate) struct PruneVolumes {
    /// Remove all unused volumes, not just anonymous ones
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    options: PruneOptions,
}

impl PruneVolumes {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let which = if self.all { "all" } else { "anonymous" };
        let warning =
            format!("WARNING! This will remove {which} local volumes not used by at least one container.");
        if !self.options.confirmed(&warning)? {
            return Ok(ExitCode::SUCCESS);
        }
        let pruned = prune(&crate::commands::containers()?, self.all, &self.options.filters)?;
        pruned.print("Deleted Volumes");
        print_total(pruned.freed_bytes);
        Ok(ExitCode::SUCCESS)
    }
}

/// Removes the volumes that no container has; those with a name only if `all` are meant.
pub(super) fn prune(containers: &ContainerStore, all: bool, filters: &[PruneFilter]) -> Result<Pruned> {
    let store = crate::commands::volumes()?;
    let lock = store.lock()?;
    let mut pruned = Pruned::default();
    for volume in store.list()? {
        let record = &volume.record;
        if !(all || record.anonymous) || !filter::passes(filters, Some(record.created_at), &record.labels) {
            continue;
        }
        let bytes = disk_usage_bytes(&volume.data());
        match store.remove(&lock, &volume, containers) {
            Err(VolumeError::InUse { .. }) => continue,
            removal => removal?,
        }
        pruned.lines.push(volume.name.to_string());
        pruned.freed_bytes = pruned.freed_bytes.saturating_add(bytes);
    }
    Ok(pruned)
}
