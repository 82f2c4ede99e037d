//! `holm network inspect`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::commands::inspect::show;

/// Display detailed information on one or more networks
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  holm network inspect app\n  holm network inspect -f '{{.Name}}' app")]
pub(crate) struct Inspect {
    /// Format output using a Go template, or 'json'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Names or IDs
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,
}

impl Inspect {
    pub(super) fn run(self) -> Result<ExitCode> {
        let store = crate::commands::networks()?;
        show(&self.networks, self.format.as_deref(), |name| super::describe(&store, &store.find(name)?))
    }
}
