//! `holm rename`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::container::ContainerName;

/// Rename a container
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  holm rename web front")]
pub(crate) struct Rename {
    /// Name or ID
    container: String,
    /// Its new name
    new_name: ContainerName,
}

impl Rename {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let store = super::containers()?;
        store.rename(&store.find(&self.container)?, self.new_name)?;
        Ok(ExitCode::SUCCESS)
    }
}
