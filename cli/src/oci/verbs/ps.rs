//! `ps`: the processes of a container. Their pids are the guest's: the host has none for them.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_cli::output;
use holm_runtime::oci::Client;

use super::list::ListFormat;
use crate::Global;

/// Show the processes of a container, by their pids in its VM
#[derive(Debug, Args)]
pub(crate) struct Ps {
    /// How to print them
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    format: ListFormat,
    /// The container's id
    id: String,
    /// Ignored
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    options: Vec<String>,
}

impl Ps {
    pub(super) fn run(&self, global: &Global) -> Result<ExitCode> {
        let processes = Client::of(&super::find(global, &self.id)?).processes()?;
        if self.format == ListFormat::Json {
            let pids: Vec<i32> = processes.iter().map(|process| process.pid).collect();
            output::line(&serde_json::to_string(&pids)?);
            return Ok(ExitCode::SUCCESS);
        }
        let row = |process: &holm_runtime::sandbox::ProcessUsage| {
            [
                process.uid.to_string(),
                process.pid.to_string(),
                process.ppid.to_string(),
                process.command.clone(),
            ]
            .to_vec()
        };
        output::line(&output::table(&["UID", "PID", "PPID", "CMD"], processes.iter().map(row).collect()));
        Ok(ExitCode::SUCCESS)
    }
}
