//! `holm network prune`.

use std::collections::HashSet;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::container::ContainerStore;
use holm_runtime::network::NetworkError;

use super::filter::{self, PruneFilter};
use super::{PruneOptions, Pruned};

/// Remove all unused networks
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  holm network prune -f")]
pub(crate) struct PruneNetworks {
    #[command(flatten)]
    options: PruneOptions,
}

impl PruneNetworks {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let warning = "WARNING! This will remove all custom networks not used by at least one container.";
        if !self.options.confirmed(warning)? {
            return Ok(ExitCode::SUCCESS);
        }
        prune(&crate::commands::containers()?, &self.options.filters)?.print("Deleted Networks");
        Ok(ExitCode::SUCCESS)
    }
}

/// Removes the networks that no container has, and what is on the host for those that none is on.
pub(super) fn prune(containers: &ContainerStore, filters: &[PruneFilter]) -> Result<Pruned> {
    let store = crate::commands::networks()?;
    // Also of containers that do not run now: they could not start again.
    let mut used = HashSet::new();
    for container in containers.list()? {
        used.extend(container.connections()?.into_iter().map(|connection| connection.network));
    }
    let mut pruned = Pruned::default();
    for network in store.list()? {
        let is_used = used.iter().any(|name| network.is_meant_by(name));
        if network.is_default() || is_used || !filter::passes(filters, Some(network.created), &network.labels)
        {
            continue;
        }
        match store.remove(&network) {
            Err(NetworkError::InUse { .. }) => continue,
            removal => removal?,
        }
        pruned.lines.push(network.name.to_string());
    }
    store.remove_idle_bridges()?;
    Ok(pruned)
}
