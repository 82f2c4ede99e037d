//! Containers of one life of the host ([`Durability::OneLife`]). Nothing of them is synced, so what a power cut leaves of one may
//! be a part of it. A mark beside its directory says which life it was; in a later one, the next command removes both.
//!
//! ```text
//!   mark ──> .new-<id>/ ──> <id>/ ──> .old-<id>/ ──> deleted ──> mark deleted
//! ```
//!
//! A file system may lose the last of these steps, but not an earlier one alone: its journal keeps their order. Marks are
//! made under the lock of names, together with the directory.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::names::write_error;
use super::remove::is_locked;
use super::{ContainerError, ContainerStore, NEW, OLD};
use crate::container::ContainerId;
use crate::durable;
use crate::file_error::failed;

/// How their names begin; the life and the id follow.
pub(super) const MARK: &str = ".once-";

/// A container of one life.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mark {
    path: PathBuf,
    life: String,
    id: ContainerId,
}

impl Mark {
    /// The mark of this name in the directory of containers.
    pub(super) fn parse(containers: &Path, name: &str) -> Option<Self> {
        let (life, id) = name.strip_prefix(MARK)?.split_once('-')?;
        Some(Self { path: containers.join(name), life: life.to_owned(), id: id.parse().ok()? })
    }

    /// Whether it is for nothing any more: its life is over, or there is no container. Those of this life are made and removed
    /// in the meantime, unless the names are locked.
    pub(super) fn is_left(&self, containers: &Path, life: &str) -> bool {
        self.life != life || self.places(containers).iter().all(|place| !place.is_dir())
    }

    /// Has the container count as one whose removal was begun, unless somebody has it.
    pub(super) fn begin_removal(&self, containers: &Path) -> io::Result<()> {
        let [made, _, old] = self.places(containers);
        if !made.is_dir() || is_locked(&made) {
            return Ok(());
        }
        holm_faults::fault!("container.mark.begin-removal").and_then(|()| fs::rename(made, old))
    }

    /// Deletes it, once there is nothing that it is for.
    pub(super) fn clear(&self, containers: &Path) -> io::Result<()> {
        if self.places(containers).iter().any(|place| place.is_dir()) {
            return Ok(());
        }
        holm_faults::fault!("container.mark.clear").and_then(|()| durable::remove(&self.path))
    }

    fn places(&self, containers: &Path) -> [PathBuf; 3] {
        let id = &self.id;
        [
            containers.join(id.as_str()),
            containers.join(format!("{NEW}{id}")),
            containers.join(format!("{OLD}{id}")),
        ]
    }
}

impl ContainerStore {
    /// Marks a container that is about to be made. The names are locked.
    pub(super) fn mark(&self, id: &ContainerId) -> Result<(), ContainerError> {
        let mark = self.mark_of(id)?;
        holm_faults::fault!("container.mark.create")
            .and_then(|()| File::create(&mark.path))
            .map(drop)
            .map_err(|source| write_error(&mark.path, source))
    }

    /// Deletes the mark of a container that is gone. One of an earlier life is left to the next sweep.
    pub(super) fn unmark(&self, id: &ContainerId) -> Result<(), ContainerError> {
        let Ok(mark) = self.mark_of(id) else { return Ok(()) };
        mark.clear(&self.directories().containers()).map_err(|source| write_error(&mark.path, source))
    }

    fn mark_of(&self, id: &ContainerId) -> Result<Mark, ContainerError> {
        let containers = self.directories().containers();
        let life = self.directories().life();
        let life = life.map_err(failed("read", self.directories().run()))?;
        Ok(Mark { path: containers.join(format!("{MARK}{life}-{id}")), life, id: id.clone() })
    }
}
