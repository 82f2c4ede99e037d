//! `pause`: stop all processes of a container.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::oci::Client;

use crate::Global;

/// Suspend all processes of a container
#[derive(Debug, Args)]
pub(crate) struct Pause {
    /// The container's id
    id: String,
}

impl Pause {
    pub(super) fn run(&self, global: &Global) -> Result<ExitCode> {
        Client::of(&super::find(global, &self.id)?).pause()?;
        Ok(ExitCode::SUCCESS)
    }
}
