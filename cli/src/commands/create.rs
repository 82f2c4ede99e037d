//! `holm create`: make a container and leave it for `holm start`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::container_options::ContainerOptions;
use crate::output;

/// Create a new container
#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "Examples:\n  holm create --name web my/server\n  holm start web"
)]
pub(crate) struct Create {
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    #[command(flatten)]
    container: ContainerOptions,
}

impl Create {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let container = self.container.create(&super::containers()?)?;
        output::line(container.id.as_str());
        Ok(ExitCode::SUCCESS)
    }
}
