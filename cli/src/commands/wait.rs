//! `holm wait`: until workloads end, and their exit codes.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::container::{Container, ContainerStore};
use holm_runtime::supervisor::Client;
use holm_runtime::supervisor::protocol::Report;

use crate::output;

/// Block until one or more containers stop, then print their exit codes
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  holm wait job")]
pub(crate) struct Wait {
    /// Names or IDs
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Wait {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let store = super::containers()?;
        super::each_quietly(&self.containers, |name| {
            output::line(&exit_code(&store, &store.find(name)?)?.to_string());
            Ok(())
        })
    }
}

fn exit_code(store: &ContainerStore, container: &Container) -> Result<i32> {
    if let Ok(mut client) = Client::connect(store.directories(), container) {
        while let Ok(report) = client.next_report() {
            if let Report::Exited { code } | Report::Failed { code, .. } = report {
                return Ok(code.into());
            }
        }
    }
    Ok(container.state()?.exit_code)
}
