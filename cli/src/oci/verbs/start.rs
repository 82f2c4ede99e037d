//! `start`: execute the program of a container that was created.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::oci::Client;

use crate::Global;

/// Start a container that was created
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// The container's id
    id: String,
}

impl Start {
    pub(super) fn run(&self, global: &Global) -> Result<ExitCode> {
        Client::of(&super::find(global, &self.id)?).start()?;
        Ok(ExitCode::SUCCESS)
    }
}
