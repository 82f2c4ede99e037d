//! `holm network create`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::container::settings::{Label, Labels};
use holm_runtime::network::{NetworkName, NewNetwork, Subnet};

use crate::output;

/// Create a network
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  holm network create app\n  holm network create --subnet 10.5.0.0/24 --internal db"
)]
pub(crate) struct Create {
    /// Driver to manage the network
    #[arg(short, long, value_name = "DRIVER", default_value = "bridge", value_parser = ["bridge"])]
    driver: String,
    /// Restrict external access to the network
    #[arg(long)]
    internal: bool,
    /// Set metadata on a network
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<Label>,
    /// Subnet in CIDR format
    #[arg(long, value_name = "SUBNET")]
    subnet: Option<Subnet>,
    /// Name
    name: NetworkName,
}

impl Create {
    pub(super) fn run(self) -> Result<ExitCode> {
        let mut labels = Labels::new();
        labels.extend(self.label.into_iter().map(|label| (label.key, label.value)));
        let new = NewNetwork { name: self.name, subnet: self.subnet, internal: self.internal, labels };
        output::line(&crate::commands::networks()?.create(new)?.id);
        Ok(ExitCode::SUCCESS)
    }
}
