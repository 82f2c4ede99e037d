//! `holm network disconnect`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::container::ContainerError;
use holm_runtime::supervisor::Client;

use super::changed::change;

/// Disconnect a container from a network
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  holm network disconnect app web")]
pub(crate) struct Disconnect {
    /// Fine when there is no such container
    #[arg(short, long)]
    force: bool,
    /// Name or ID of the network
    network: String,
    /// Name or ID of the container
    container: String,
}

impl Disconnect {
    pub(super) fn run(self) -> Result<ExitCode> {
        let networks = crate::commands::networks()?;
        let network = networks.find(&self.network)?;
        let containers = crate::commands::containers()?;
        let container = match containers.find(&self.container) {
            Err(ContainerError::NotFound(_)) if self.force => return Ok(ExitCode::SUCCESS),
            found => found?,
        };
        change(
            &container,
            || Ok(Client::disconnect_network(containers.directories(), &container, &network.id)?),
            || Ok(networks.note_disconnected(&container, &network)?),
        )?;
        Ok(ExitCode::SUCCESS)
    }
}
