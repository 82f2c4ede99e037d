//! `holm fork`: a running copy of a running container.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use holm_runtime::checkpoint::{CheckpointName, CheckpointPlace};
use holm_runtime::container::{Container, ContainerLock, ContainerName, ContainerStore, Record};
use holm_runtime::supervisor::Client;
use holm_runtime::supervisor::protocol::CheckpointRequest;
use time::OffsetDateTime;

use super::start;
use crate::attach;
use crate::nonce::nonce;
use crate::output;

/// Make a running copy of a running container
///
/// The copy goes on where the container stands, with a layer, an address, a hostname and random numbers of its own. Ports that
/// were published under a number of the host's are not published again, and --ip and --mac-address do not hold for it; open
/// connections stay with the container. A container with volumes or bind mounts cannot be copied. Commands of 'holm exec' are
/// not part of the copy.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  holm fork --name web2 web")]
pub(crate) struct Fork {
    /// Assign a name to the copy
    #[arg(long)]
    name: Option<ContainerName>,
    /// Name or ID
    container: String,
}

impl Fork {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let store = super::containers()?;
        let container = store.find(&self.container)?;
        if !container.state()?.status.is_active() {
            bail!("container {} is not running", container.name);
        }
        let copy = store.create(record_of_copy(&container)?, self.name)?;
        let lock = start::lock(&copy)?;
        if let Err(error) = go_on(&store, &container, &copy, lock) {
            // The first failure is the one to tell.
            let _ = start::lock(&copy).and_then(|_lock| Ok(store.remove(&copy)?));
            return Err(error);
        }
        output::line(copy.id.as_str());
        Ok(ExitCode::SUCCESS)
    }
}

fn go_on(store: &ContainerStore, container: &Container, copy: &Container, lock: ContainerLock) -> Result<()> {
    let (directories, place) = (store.directories(), CheckpointPlace::from(CheckpointName::fork()));
    let request = CheckpointRequest { owner: copy.id.clone(), place: place.clone(), leave_running: true };
    Client::checkpoint(directories, container, request)?;
    let mut client = Client::spawn(&super::installation()?, directories, copy, lock, Some(&place))?;
    attach::detached(&mut client)
}

/// As the container is now, without what only one can have.
fn record_of_copy(container: &Container) -> Result<Record> {
    let nonce = nonce()?;
    let mut settings = container.settings()?;
    settings.ports.retain(|mapping| mapping.host_port == 0);
    (settings.ip, settings.mac_address) = (None, None);
    for connection in &mut settings.more_networks {
        (connection.ip, connection.mac_address) = (None, None);
    }
    let generated = u64::from_str_radix(nonce.get(..15).unwrap_or("0"), 16).unwrap_or(0);
    Ok(Record {
        created: OffsetDateTime::now_utc(),
        name: ContainerName::generated(generated),
        settings,
        nonce,
        ..container.record.clone()
    })
}
