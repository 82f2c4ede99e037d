//! `holm volume inspect`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::commands::inspect::show;

/// Display detailed information on one or more volumes
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  holm volume inspect data\n  holm volume inspect -f '{{.Mountpoint}}' data"
)]
pub(crate) struct InspectVolumes {
    /// Format output using a Go template, or 'json'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Names
    #[arg(id = "volumes_of_store", required = true, value_name = "VOLUME")]
    volumes: Vec<String>,
}

impl InspectVolumes {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let store = crate::commands::volumes()?;
        show(&self.volumes, self.format.as_deref(), |name| super::describe(&store.find(name)?))
    }
}
