//! `holm network ls`.

use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Result;
use clap::Args;
use holm_runtime::network::Network;
use serde_json::{Value, json};

use crate::format::Format;
use crate::label_match::{self, LabelMatch};
use crate::{filters, output};

/// List networks
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  holm network ls\n  holm network ls -q -f label=stage=test\n\n\
                  Filters: name=, id=, label=, driver=, scope=, type=builtin|custom\nFields: .ID .Name .Driver .Scope .Internal .IPv6 .Labels .CreatedAt")]
pub(crate) struct Ls {
    /// Provide filter values
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<Filter>,
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

/// `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Filter {
    Name(String),
    Id(String),
    Label(LabelMatch),
    Driver(String),
    Scope(String),
    /// Not made by a user.
    Builtin(bool),
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("invalid filter: want KEY=VALUE")?;
        match (key, value) {
            ("name", _) => Ok(Self::Name(value.to_owned())),
            ("id", _) => Ok(Self::Id(value.to_owned())),
            ("label", _) => Ok(Self::Label(LabelMatch::new(value))),
            ("driver", _) => Ok(Self::Driver(value.to_owned())),
            ("scope", _) => Ok(Self::Scope(value.to_owned())),
            ("type", "builtin" | "custom") => Ok(Self::Builtin(value == "builtin")),
            ("type", _) => Err(format!("invalid filter 'type={value}'")),
            _ => Err(format!("invalid filter '{key}'")),
        }
    }
}

impl Filter {
    fn passes(&self, network: &Network) -> bool {
        match self {
            Self::Name(part) => network.name.as_str().contains(part.as_str()),
            Self::Id(part) => network.id.contains(part.as_str()),
            Self::Label(label) => label.matches(&network.labels),
            Self::Driver(driver) => driver == DRIVER,
            Self::Scope(scope) => scope == SCOPE,
            Self::Builtin(wanted) => network.is_default() == *wanted,
        }
    }
}

const DRIVER: &str = "bridge";
const SCOPE: &str = "local";

const COLUMNS: [(&str, &str); 4] =
    [("NETWORK ID", "ID"), ("NAME", "Name"), ("DRIVER", "Driver"), ("SCOPE", "Scope")];

impl Ls {
    pub(super) fn run(self) -> Result<ExitCode> {
        let format = Format::parse(self.format.as_deref())?;
        let networks = crate::commands::networks()?.list()?;
        let found: Vec<Value> = networks
            .iter()
            .filter(|network| {
                let narrows = |filter: &Filter| matches!(filter, Filter::Label(_));
                filters::pass(&self.filter, narrows, |filter| filter.passes(network))
            })
            .map(|network| {
                json!({
                    "ID": if self.no_trunc { &network.id } else { network.short_id() },
                    "Name": network.name,
                    "Driver": DRIVER,
                    "Scope": SCOPE,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_dockers() {
        for text in
            ["name=web", "id=0a", "label=a", "label=a=b", "driver=bridge", "scope=local", "type=custom"]
        {
            assert!(text.parse::<Filter>().is_ok(), "{text}");
        }
        assert_eq!("type=x".parse::<Filter>(), Err("invalid filter 'type=x'".to_owned()));
        assert_eq!("x=y".parse::<Filter>(), Err("invalid filter 'x'".to_owned()));
    }
}
