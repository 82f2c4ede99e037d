//! The names of containers: a file each, holding the id of its owner. All changes happen under one lock.
//!
//! A name whose container does not exist is free: a crash between taking a name and making the container, or between
//! removing a container and giving its name back, leaves such a one.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::{Container, ContainerError, ContainerStore, OLD};
use crate::container::{ContainerId, ContainerName};
use crate::durable;
use crate::file_error::failed;

/// The right to change names, while it lives.
pub(super) struct Names<'a> {
    store: &'a ContainerStore,
    directory: PathBuf,
    _lock: File,
}

impl ContainerStore {
    pub(super) fn lock_names(&self) -> Result<Names<'_>, ContainerError> {
        let directory = self.directories().names();
        let failed = |source| write_error(&directory, source);
        let lock = holm_faults::fault!("container.names.lock")
            .and_then(|()| File::create(directory.join(".lock")))
            .map_err(failed)?;
        lock.lock().map_err(failed)?;
        Ok(Names { store: self, directory, _lock: lock })
    }
}

impl Names<'_> {
    /// Makes the name the container's.
    pub(super) fn take(&self, container: &Container) -> Result<(), ContainerError> {
        let path = self.directory.join(container.name.as_str());
        let owner = fs::read_to_string(&path).unwrap_or_default();
        if self.is_used(&owner) {
            return Err(ContainerError::NameTaken { name: container.name.clone(), owner });
        }
        let durability = container.record.settings.durability();
        // A part of an id is nobody's, so a name is free until all of it is there.
        holm_faults::fault!("container.name.take")
            .and_then(|()| durable::place(&path, container.id.as_str().as_bytes(), durability))
            .and_then(|()| {
                holm_faults::fault!("container.name.sync")
                    .and_then(|()| durability.sync_directory(&self.directory))
            })
            .map_err(|source| write_error(&path, source))
    }

    /// Makes the name free, if it is this container's.
    pub(super) fn give_back(&self, name: &ContainerName, id: &ContainerId) -> Result<(), ContainerError> {
        let path = self.directory.join(name.as_str());
        if fs::read_to_string(&path).is_ok_and(|owner| owner == id.as_str()) {
            holm_faults::fault!("container.name.give-back")
                .and_then(|()| durable::remove(&path))
                .map_err(|source| write_error(&path, source))?;
        }
        Ok(())
    }

    /// Whether there is a container of this id; one that is being removed may come back.
    fn is_used(&self, owner: &str) -> bool {
        let containers = self.store.directories().containers();
        let is_there = |name: &str| containers.join(name).is_dir();
        !owner.is_empty() && (is_there(owner) || is_there(&format!("{OLD}{owner}")))
    }

    /// Removes what crashes left: half-written files, and names of containers that do not exist.
    pub(super) fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)?.flatten() {
            let name = entry.file_name();
            let left = if name.as_encoded_bytes().starts_with(b".") {
                name != ".lock"
            } else {
                !self.is_used(&fs::read_to_string(entry.path()).unwrap_or_default())
            };
            if left {
                durable::remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

pub(super) fn write_error(path: &Path, source: io::Error) -> ContainerError {
    failed("write", path)(source).into()
}
