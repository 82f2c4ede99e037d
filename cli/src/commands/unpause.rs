//! `holm unpause`: let the processes of paused containers go on.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::supervisor::protocol::Request;

/// Unpause all processes within one or more containers
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  holm unpause web")]
pub(crate) struct Unpause {
    /// Names or IDs
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Unpause {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let store = super::containers()?;
        super::each(&self.containers, |name| super::ask(&store, &store.find(name)?, Request::Unpause))
    }
}
