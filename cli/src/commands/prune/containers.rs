//! `holm container prune`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::container::{Container, ContainerStore, Status};
use holm_runtime::host::disk_usage_bytes;

use super::filter::{self, PruneFilter};
use super::{PruneOptions, Pruned, print_total};
use crate::commands::start;

/// Remove all stopped containers
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  holm container prune\n  holm container prune -f --filter until=24h --filter label!=keep"
)]
pub(crate) struct PruneContainers {
    #[command(flatten)]
    options: PruneOptions,
}

impl PruneContainers {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        if !self.options.confirmed("WARNING! This will remove all stopped containers.")? {
            return Ok(ExitCode::SUCCESS);
        }
        let pruned = prune(&crate::commands::containers()?, &self.options.filters)?;
        pruned.print("Deleted Containers");
        print_total(pruned.freed_bytes);
        Ok(ExitCode::SUCCESS)
    }
}

/// Removes the containers that nobody runs.
pub(super) fn prune(store: &ContainerStore, filters: &[PruneFilter]) -> Result<Pruned> {
    let mut pruned = Pruned::default();
    for (container, state) in store.list_states()? {
        let record = &container.record;
        if filter::passes(filters, Some(record.created), &record.settings.labels)
            && let Some(bytes) = remove(store, &container, state.status)?
        {
            pruned.lines.push(container.id.to_string());
            pruned.freed_bytes = pruned.freed_bytes.saturating_add(bytes);
        }
    }
    crate::commands::rm::collect_images(store)?;
    Ok(pruned)
}

/// Removes a container unless somebody has it; the bytes that its files took.
fn remove(store: &ContainerStore, container: &Container, status: Status) -> Result<Option<u64>> {
    let lock = match status {
        // Its supervisor may be at its very end; whoever else has taken it meanwhile keeps it.
        Status::Exited => start::lock(container).ok(),
        _ => container.try_lock()?,
    };
    let Some(_lock) = lock else { return Ok(None) };
    let bytes = disk_usage_bytes(container.directory());
    store.remove(container)?;
    Ok(Some(bytes))
}
