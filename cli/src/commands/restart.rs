//! `holm restart`: stop and start.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::stop::StopOptions;

/// Restart one or more containers
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  holm restart -t 30 web")]
pub(crate) struct Restart {
    #[command(flatten)]
    how: StopOptions,
    /// Names or IDs
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Restart {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let store = super::containers()?;
        super::each(&self.containers, |name| {
            let container = store.find(name)?;
            super::stop::stop(&store, &container, &self.how)?;
            super::start::start(&store, &container)?;
            container.note("restart", &[]);
            Ok(())
        })
    }
}
