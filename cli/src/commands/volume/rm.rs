//! `holm volume rm`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::volume::VolumeError;

/// Remove one or more volumes
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  holm volume rm data\n  holm volume rm $(holm volume ls -qf dangling=true)"
)]
pub(crate) struct RemoveVolumes {
    /// Do not complain about volumes that are not there
    #[arg(short, long)]
    force: bool,
    /// Names
    #[arg(id = "volumes_of_store", required = true, value_name = "VOLUME")]
    volumes: Vec<String>,
}

impl RemoveVolumes {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let (store, containers) = (crate::commands::volumes()?, crate::commands::containers()?);
        crate::commands::each(&self.volumes, |name| {
            let lock = store.lock()?;
            match store.find(name) {
                Err(VolumeError::NotFound(_)) if self.force => Ok(()),
                found => Ok(store.remove(&lock, &found?, &containers)?),
            }
        })
    }
}
