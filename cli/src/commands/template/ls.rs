//! `holm template ls`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::host::disk_usage_bytes;
use serde_json::json;

use crate::format::Format;
use crate::output;

/// List templates
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  holm template ls\n  holm template ls -q\n\n\
                        Fields: .Name .VCPUs .Memory .Size .CreatedSince .CreatedAt")]
pub(crate) struct ListTemplates {
    /// Format output using a Go template, 'json' or 'table TEMPLATE'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Only display names
    #[arg(short, long)]
    quiet: bool,
}

const COLUMNS: [(&str, &str); 5] = [
    ("NAME", "Name"),
    ("VCPUS", "VCPUs"),
    ("MEMORY", "Memory"),
    ("CREATED", "CreatedSince"),
    ("SIZE", "Size"),
];

impl ListTemplates {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let format = Format::parse(self.format.as_deref())?;
        let templates = crate::commands::templates()?.list()?;
        if self.quiet {
            templates.iter().for_each(|template| output::line(&template.name));
            return Ok(ExitCode::SUCCESS);
        }
        let rows: Vec<_> = templates
            .into_iter()
            .map(|template| {
                let made = time::OffsetDateTime::from(template.made);
                let shape = template.key.map(|key| key.shape);
                json!({
                    "Name": template.name,
                    "VCPUs": shape.map_or_else(|| "?".to_owned(), |shape| shape.vcpus.to_string()),
                    "Memory": shape.map_or_else(|| "?".to_owned(), |shape| format!("{}MiB", shape.memory_mib)),
                    "Size": output::size(disk_usage_bytes(&template.directory)),
                    "CreatedSince": output::ago(made),
                    "CreatedAt": made.to_string(),
                })
            })
            .collect();
        format.print(&COLUMNS, &rows)?;
        Ok(ExitCode::SUCCESS)
    }
}
