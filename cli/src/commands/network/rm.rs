//! `holm network rm`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::network::NetworkError;

/// Remove one or more networks
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  holm network rm app")]
pub(crate) struct Rm {
    /// Do not error if the network does not exist
    #[arg(short, long)]
    force: bool,
    /// Names or IDs
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,
}

impl Rm {
    pub(super) fn run(self) -> Result<ExitCode> {
        let store = crate::commands::networks()?;
        crate::commands::each(&self.networks, |name| {
            let network = match store.find(name) {
                Err(NetworkError::NotFound(_)) if self.force => return Ok(()),
                found => found?,
            };
            Ok(store.remove(&network)?)
        })
    }
}
