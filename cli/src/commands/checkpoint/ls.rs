//! `holm checkpoint ls`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::checkpoint::Checkpoints;
use serde_json::json;

use super::CheckpointDirectory;
use crate::format::Format;

/// List checkpoints for a container
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  holm checkpoint ls web\n\nFields: .Name .CreatedAt")]
pub(crate) struct ListCheckpoints {
    /// Format output using a Go template, 'json' or 'table TEMPLATE'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    #[command(flatten)]
    directory: CheckpointDirectory,
    /// Name or ID
    container: String,
}

const COLUMNS: [(&str, &str); 1] = [("CHECKPOINT NAME", "Name")];

impl ListCheckpoints {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let format = Format::parse(self.format.as_deref())?;
        let container = crate::commands::containers()?.find(&self.container)?;
        let rows: Vec<_> = Checkpoints::at(&container, self.directory.absolute()?.as_deref())
            .list()?
            .into_iter()
            .map(|listed| {
                json!({
                    "Name": listed.name.as_str(),
                    "CreatedAt": listed.created.map(|created| created.to_string()).unwrap_or_default(),
                })
            })
            .collect();
        format.print(&COLUMNS, &rows)?;
        Ok(ExitCode::SUCCESS)
    }
}
