//! `holm network ls`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use crate::format::Format;
use crate::{label_match, output};

/// List networks
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  holm network ls\n\nFields: .ID .Name .Driver .Scope .Internal .IPv6 .Labels .CreatedAt"
)]
pub(crate) struct Ls {
    /// Format output using a Go template, 'json' or 'table TEMPLATE'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Do not truncate the output
    #[arg(long)]
    no_trunc: bool,
    /// Only display network IDs
    #[arg(short, long)]
    quiet: bool,
}

const COLUMNS: [(&str, &str); 4] =
    [("NETWORK ID", "ID"), ("NAME", "Name"), ("DRIVER", "Driver"), ("SCOPE", "Scope")];

impl Ls {
    pub(super) fn run(self) -> Result<ExitCode> {
        let format = Format::parse(self.format.as_deref())?;
        let networks = crate::commands::networks()?.list()?;
        let found: Vec<Value> = networks
            .iter()
            .map(|network| {
                json!({
                    "ID": if self.no_trunc { &network.id } else { network.short_id() },
                    "Name": network.name,
                    "Driver": "bridge",
                    "Scope": "local",
                    "Internal": network.internal.to_string(),
                    "IPv6": network.ipv6.is_some().to_string(),
                    "Labels": label_match::joined(&network.labels),
                    "CreatedAt": output::moment(network.created),
                })
            })
            .collect();
        if self.quiet {
            crate::commands::print_ids(&found);
        } else {
            format.print(&COLUMNS, &found)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
