//! `resume`: let the processes of a container go on.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::oci::Client;

use crate::Global;

/// Resume all processes of a container
#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// The container's id
    id: String,
}

impl Resume {
    pub(super) fn run(&self, global: &Global) -> Result<ExitCode> {
        Client::of(&super::find(global, &self.id)?).resume()?;
        Ok(ExitCode::SUCCESS)
    }
}
