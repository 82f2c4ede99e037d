//! `ps`: the processes of a container. As a table for people it shows those in the guest, by the guest's pids. As JSON it is for
//! engines, which take the pids for the host's and look them up there (`docker top`): supervisor and VMM.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_cli::output;
use holm_runtime::oci::Client;

use super::list::ListFormat;
use crate::Global;

/// Show the processes of a container, by their pids in its VM; as JSON, the pids of the host's processes behind it
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
        let container = super::find(global, &self.id)?;
        if self.format == ListFormat::Json {
            output::line(&serde_json::to_string(&container.host_processes()?)?);
            return Ok(ExitCode::SUCCESS);
        }
        let processes = Client::of(&container).processes()?;
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
