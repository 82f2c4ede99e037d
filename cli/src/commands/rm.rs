//! `holm rm`: containers, with their writable layers, for good.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::container::{Container, ContainerError, ContainerStore};
use holm_runtime::supervisor::Client;
use holm_runtime::supervisor::protocol::Request;

use crate::output;

/// Remove one or more containers
#[derive(Debug, Args)]
pub(crate) struct Rm {
    /// Force the removal of a running container
    #[arg(short, long)]
    force: bool,
    /// Names or IDs
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Rm {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let store = super::containers()?;
        for name in &self.containers {
            let container = store.find(name)?;
            self.end(&store, &container, name)?;
            store.remove(&container)?;
            output::line(name);
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Makes sure that it does not run: a supervisor that can be reached is one that runs.
    fn end(&self, store: &ContainerStore, container: &Container, name: &str) -> Result<()> {
        let Ok(mut client) = Client::connect(store.directories(), &container.id) else {
            return Ok(());
        };
        if !self.force {
            return Err(ContainerError::Running(name.to_owned()).into());
        }
        client.requests()?.send(Request::Kill)?;
        // Reports end when the supervisor does.
        while client.next_report().is_ok() {}
        Ok(())
    }
}
