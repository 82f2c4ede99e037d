//! `holm kill`: send a signal to workloads.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use holm_runtime::container::settings::SignalName;
use holm_runtime::container::{Container, ContainerStore};
use holm_runtime::supervisor::Client;
use holm_runtime::supervisor::protocol::{Report, Request};

/// Kill one or more running containers
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  holm kill web\n  holm kill -s HUP web")]
pub(crate) struct Kill {
    /// Signal to send to the container
    #[arg(short, long, value_name = "SIGNAL", default_value_t = SignalName::KILL)]
    signal: SignalName,
    /// Names or IDs
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Kill {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let store = super::containers()?;
        super::each(&self.containers, |name| kill(&store, &store.find(name)?, self.signal))
    }
}

fn kill(store: &ContainerStore, container: &Container, signal: SignalName) -> Result<()> {
    let Ok(mut client) = Client::connect(store.directories(), container) else {
        bail!("cannot kill container: {}: container {} is not running", container.name, container.id.short());
    };
    client.requests()?.send(Request::Signal(signal.number()))?;
    while let Ok(report) = client.next_report() {
        match report {
            // Who kills wants it dead when the command returns.
            Report::Done if signal == SignalName::KILL => {}
            Report::Done | Report::Exited { .. } | Report::Failed { .. } => break,
            Report::Refused { message } => bail!("cannot kill container: {}: {message}", container.name),
            Report::Started | Report::Processes(_) | Report::Usage(_) | Report::File(_) => {}
        }
    }
    Ok(())
}
