//! `holm rm`: containers, with their writable layers, for good.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::container::{Container, ContainerError, ContainerStore};
use holm_runtime::network::NetworkStore;
use holm_runtime::supervisor::Client;

/// Remove one or more containers
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  holm rm web\n  holm rm -f $(holm ps -aq)")]
pub(crate) struct Rm {
    /// Force the removal of a running container
    #[arg(short, long)]
    force: bool,
    /// Remove anonymous volumes associated with the container
    #[arg(short, long)]
    volumes: bool,
    /// Names or IDs
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Rm {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let store = super::containers()?;
        super::each(&self.containers, |name| {
            let container = match store.find(name) {
                // Forced removal is for what may be there.
                Err(ContainerError::NotFound(_)) if self.force => return Ok(()),
                found => found?,
            };
            self.end(&store, &container, name)?;
            remove_ended(&store, &container)?;
            if self.volumes {
                super::volumes()?.remove_anonymous(&container, &store)?;
            }
            Ok(())
        })
    }

    /// Makes sure that it does not run: a supervisor that can be reached is one that runs.
    fn end(&self, store: &ContainerStore, container: &Container, name: &str) -> Result<()> {
        let Ok(client) = Client::connect(store.directories(), container) else {
            return Ok(());
        };
        if !self.force {
            let status = container.state()?.status.to_string();
            return Err(ContainerError::Running { name: name.to_owned(), status }.into());
        }
        Ok(client.end(container)?)
    }
}

/// Removes a container that does not run; fine when it is gone already.
pub(super) fn remove_ended(store: &ContainerStore, container: &Container) -> Result<()> {
    let lock = match super::start::lock(container) {
        Err(error) if is_gone(&error) => return Ok(()),
        lock => lock?,
    };
    store.remove(container)?;
    drop(lock);
    // A supervisor that had to be killed could not.
    NetworkStore::new(store.directories().clone()).repair()?;
    collect_images(store)
}

/// Deletes images that were removed by force while a container that is gone now had them.
pub(super) fn collect_images(store: &ContainerStore) -> Result<()> {
    super::images()?.collect(&|id| store.users_of(id))?;
    Ok(())
}

fn is_gone(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ContainerError::NotFound(_)))
}
