//! `holm start`: run containers that were created or have ended.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use holm_runtime::checkpoint::{CheckpointName, CheckpointPlace};
use holm_runtime::container::{Container, ContainerLock, ContainerStore, Status};
use holm_runtime::host::Installation;
use holm_runtime::supervisor::Client;

use super::checkpoint::CheckpointDirectory;
use crate::attach::{self, AttachOptions, Session};

/// Start one or more stopped containers
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  holm start web\n  holm start -ai shell\n  holm start --checkpoint before-update web"
)]
pub(crate) struct Start {
    /// Attach stdout, stderr and signals
    #[arg(short, long)]
    attach: bool,
    /// Attach the container's stdin
    #[arg(short, long)]
    interactive: bool,
    /// Restore from this checkpoint
    #[arg(long, value_name = "CHECKPOINT")]
    checkpoint: Option<CheckpointName>,
    #[command(flatten)]
    checkpoint_directory: CheckpointDirectory,
    #[command(flatten)]
    options: AttachOptions,
    /// Names or IDs
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Start {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let store = super::containers()?;
        match self.containers.as_slice() {
            [name] if self.attach || self.interactive => self.start_attached(&store, name),
            _ if self.attach || self.interactive => {
                bail!("you cannot start and attach multiple containers at once")
            }
            [_, _, ..] if self.checkpoint.is_some() => {
                bail!("you cannot restore multiple containers at once")
            }
            names => super::each(names, |name| self.start(&store, &store.find(name)?)),
        }
    }

    fn start(&self, store: &ContainerStore, container: &Container) -> Result<()> {
        let Some(checkpoint) = self.place()? else { return start(store, container) };
        let mut client = spawn(&super::installation()?, store, container, Some(&checkpoint))?;
        attach::detached(&mut client)
    }

    fn place(&self) -> Result<Option<CheckpointPlace>> {
        let Some(name) = self.checkpoint.clone() else { return Ok(None) };
        Ok(Some(CheckpointPlace { name, directory: self.checkpoint_directory.absolute()? }))
    }

    fn start_attached(&self, store: &ContainerStore, name: &str) -> Result<ExitCode> {
        let container = store.find(name)?;
        let settings = &container.record.settings;
        let running = container.state()?.status.is_active();
        let client = if running && self.checkpoint.is_none() {
            Client::connect(store.directories(), &container)?
        } else {
            spawn(&super::installation()?, store, &container, self.place()?.as_ref())?
        };
        container.note("attach", &[]);
        let stdin = self.interactive && settings.open_stdin;
        let session = Session { tty: settings.tty, stdin, start: !running, options: &self.options };
        attach::attached(client, store.directories(), session)
    }
}

/// Starts a container and waits until its workload runs; fine when it does already.
pub(super) fn start(store: &ContainerStore, container: &Container) -> Result<()> {
    match container.state()?.status {
        Status::Paused => bail!("cannot start a paused container, try unpause instead"),
        Status::Running | Status::Restarting => Ok(()),
        Status::Created | Status::Exited | Status::Removing | Status::Dead => {
            attach::detached(&mut spawn(&super::installation()?, store, container, None)?)
        }
    }
}

/// Starts a supervisor for a container that does not run, from a checkpoint or from the beginning.
pub(super) fn spawn(
    installation: &Installation,
    store: &ContainerStore,
    container: &Container,
    checkpoint: Option<&CheckpointPlace>,
) -> Result<Client> {
    let lock = lock(container)?;
    if container.state()?.status == Status::Dead {
        bail!("container {} is marked for removal and cannot be started", container.name);
    }
    Ok(Client::spawn(installation, store.directories(), container, lock, checkpoint)?)
}

/// Takes the lock of a container that does not run. A supervisor at its end holds it for a moment longer than its
/// container's state says.
pub(super) fn lock(container: &Container) -> Result<ContainerLock> {
    const LIMIT: Duration = Duration::from_secs(5);
    const PAUSE: Duration = Duration::from_millis(2);
    let begun = Instant::now();
    loop {
        if let Some(lock) = container.try_lock()? {
            return Ok(lock);
        }
        if container.state()?.status.is_active() {
            bail!("container {} is running", container.name);
        }
        if begun.elapsed() > LIMIT {
            bail!("container {} is being started or removed by another command", container.name);
        }
        std::thread::sleep(PAUSE);
    }
}
