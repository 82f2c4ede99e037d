//! `kill`: send a signal to a container.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::container::settings::SignalName;
use holm_runtime::oci::Client;

use crate::Global;

/// Send a signal to a container's process
#[derive(Debug, Args)]
pub(crate) struct Kill {
    /// To all processes of the container
    #[arg(short, long)]
    all: bool,
    /// The container's id
    id: String,
    /// The signal, by name or number
    #[arg(default_value = "SIGTERM")]
    signal: SignalName,
}

impl Kill {
    pub(super) fn run(&self, global: &Global) -> Result<ExitCode> {
        Client::of(&super::find(global, &self.id)?).kill(self.signal.number(), self.all)?;
        Ok(ExitCode::SUCCESS)
    }
}
