//! `state`: where a container is in its life.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::Global;

/// Print the state of a container
#[derive(Debug, Args)]
pub(crate) struct State {
    /// The container's id
    id: String,
}

impl State {
    pub(super) fn run(&self, global: &Global) -> Result<ExitCode> {
        let state = super::find(global, &self.id)?.state()?;
        holm_cli::output::line(&serde_json::to_string_pretty(&state)?);
        Ok(ExitCode::SUCCESS)
    }
}
