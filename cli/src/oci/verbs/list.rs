//! `list`: the containers of this root.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use holm_cli::output;
use holm_runtime::oci::{OciError, OciState, Store};
use time::format_description::well_known::Rfc3339;

use crate::Global;

/// How lists are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ListFormat {
    Table,
    Json,
}

/// List containers
#[derive(Debug, Args)]
pub(crate) struct List {
    /// How to print them
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    format: ListFormat,
    /// Only ids
    #[arg(short, long)]
    quiet: bool,
}

impl List {
    pub(super) fn run(&self, global: &Global) -> Result<ExitCode> {
        let mut states = Vec::new();
        for container in Store::at(global.root()?).list()? {
            match container.state() {
                Ok(state) => states.push(state),
                // Deleted meanwhile.
                Err(OciError::NotFound) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if self.quiet {
            states.iter().for_each(|state| output::line(&state.id));
        } else if self.format == ListFormat::Json {
            output::line(&serde_json::to_string(&states)?);
        } else {
            let header = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];
            output::line(&output::table(&header, states.iter().map(row).collect()));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(state: &OciState) -> Vec<String> {
    vec![
        state.id.clone(),
        state.pid.to_string(),
        state.status.to_string(),
        state.bundle.display().to_string(),
        state.created.format(&Rfc3339).unwrap_or_default(),
        state.owner.clone(),
    ]
}
