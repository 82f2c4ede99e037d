//! `holm pause`: stop every process of containers where it is.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::supervisor::protocol::Request;

/// Pause all processes within one or more containers
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  holm pause web")]
pub(crate) struct Pause {
    /// Names or IDs
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Pause {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let store = super::containers()?;
        super::each(&self.containers, |name| super::ask(&store, &store.find(name)?, Request::Pause))
    }
}
