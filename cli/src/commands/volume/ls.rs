//! `holm volume ls`.

use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use crate::filters;
use crate::format::Format;
use crate::label_match::{self, LabelMatch};
use crate::output;

/// List volumes
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  holm volume ls\n  holm volume ls -q -f dangling=true\n\n\
                        Filters: name=, label=, dangling=, driver=\n\
                        Fields: .Name .Driver .Scope .Mountpoint .Labels .Links .Size")]
pub(crate) struct ListVolumes {
    /// Provide filter values
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<Filter>,
    /// Format output using a Go template, 'json' or 'table TEMPLATE'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Only display volume names
    #[arg(short, long)]
    quiet: bool,
}

/// `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Filter {
    Name(String),
    Label(LabelMatch),
    Dangling(bool),
    Driver(String),
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("invalid filter: want KEY=VALUE")?;
        match (key, value) {
            ("name", _) => Ok(Self::Name(value.to_owned())),
            ("label", _) => Ok(Self::Label(LabelMatch::new(value))),
            ("driver", _) => Ok(Self::Driver(value.to_owned())),
            ("dangling", "true" | "1") => Ok(Self::Dangling(true)),
            ("dangling", "false" | "0") => Ok(Self::Dangling(false)),
            ("dangling", _) => Err(format!("invalid filter 'dangling={value}'")),
            _ => Err(format!("invalid filter '{key}'")),
        }
    }
}

const COLUMNS: [(&str, &str); 2] = [("DRIVER", "Driver"), ("VOLUME NAME", "Name")];

impl ListVolumes {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let format = Format::parse(self.format.as_deref())?;
        let containers = crate::commands::containers()?;
        let mut found = Vec::new();
        for volume in crate::commands::volumes()?.list()? {
            let users = volume.users(&containers)?;
            let passes = |filter: &Filter| match filter {
                Filter::Name(part) => volume.name.as_str().contains(part.as_str()),
                Filter::Label(label) => label.matches(&volume.record.labels),
                Filter::Dangling(wanted) => users.is_empty() == *wanted,
                Filter::Driver(driver) => driver == volume.record.driver.name(),
            };
            if filters::pass(&self.filter, |filter| matches!(filter, Filter::Label(_)), passes) {
                found.push(json!({
                    "Name": volume.name.to_string(),
                    "Driver": volume.record.driver.name(),
                    "Scope": "local",
                    "Mountpoint": volume.data(),
                    "Labels": label_match::joined(&volume.record.labels),
                    "Links": "N/A",
                    "Size": "N/A",
                }));
            }
        }
        if self.quiet {
            for volume in &found {
                output::line(volume.get("Name").and_then(Value::as_str).unwrap_or_default());
            }
        } else {
            format.print(&COLUMNS, &found)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
