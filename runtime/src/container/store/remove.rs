//! Removing a container, and what killed makers and removers left.
//!
//! ```text
//!   <id>/ ──renamed to .old-<id>/: it no longer exists──> layer and logs deleted ──> name free ──> the rest, mark deleted
//!    ^                                                       │ failed
//!    └─────────────────────── state "dead" ──────────────────┘
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::marks::Mark;
use super::names::write_error;
use super::{Container, ContainerStore, NEW, OLD};
use crate::container::{ContainerError, State, Status};
use crate::durable::{self, Durability};
use crate::file_error::failed;

impl ContainerStore {
    /// Deletes the container's files and gives its name back. The caller holds its lock.
    ///
    /// # Errors
    /// Names what could not be removed; calling again goes on.
    pub fn remove(&self, container: &Container) -> Result<(), ContainerError> {
        let run = self.directories().run_of(container.id.as_str());
        holm_faults::fault!("container.remove.run-directory")
            .and_then(|()| durable::remove(&run))
            .map_err(|source| write_error(&run, source))?;
        let containers = self.directories().containers();
        let old = containers.join(format!("{OLD}{}", container.id));
        match holm_faults::fault!("container.remove.rename")
            .and_then(|()| fs::rename(&container.directory, &old))
        {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed.map_err(|source| write_error(&container.directory, source))?,
        }
        holm_faults::fault!("container.remove.sync")
            .and_then(|()| container.record.settings.durability().sync_directory(&containers))
            .map_err(|source| write_error(&containers, source))?;
        holm_faults::crash!("container.remove.renamed");
        if let Err(error) = remove_contents(&old) {
            // What cannot be brought back either is tried again by the next sweep.
            let _ = fs::rename(&old, &container.directory).map(|()| container.set_dead(&error));
            return Err(error);
        }
        holm_faults::crash!("container.remove.emptied");
        self.lock_names()?.give_back(&container.name, &container.id)?;
        holm_faults::fault!("container.remove.rest")
            .and_then(|()| durable::remove(&old))
            .map_err(|source| write_error(&old, source))?;
        holm_faults::crash!("container.remove.removed");
        self.unmark_if_marked(container)?;
        container.note("destroy", &[]);
        Ok(())
    }

    /// Containers whose removal is under way, for people to look at: nothing else finds them. Newest first.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn list_removing(&self) -> Result<Vec<(Container, State)>, ContainerError> {
        let containers = self.directories().containers();
        let unfinished = self.unfinished().map_err(failed("read", &containers));
        let mut all: Vec<_> = unfinished?
            .directories
            .into_iter()
            .filter_map(|directory| {
                let id = directory.file_name()?.to_str()?.strip_prefix(OLD)?.parse().ok()?;
                // Its record goes last, at any moment.
                let container = Container::open(id, directory).ok()?;
                if !is_locked(&container.directory) {
                    return None;
                }
                let state = State { status: Status::Removing, ..container.read_state().unwrap_or_default() };
                Some((container, state))
            })
            .collect();
        all.sort_by_key(|(container, _)| std::cmp::Reverse(container.record.created));
        Ok(all)
    }

    /// Deletes what killed commands left half-made or half-removed. What somebody works on is locked, and left alone.
    pub(super) fn sweep(&self) {
        if let Err(error) = self.try_sweep() {
            // The next command tries again.
            tracing::warn!(%error, "cannot remove what a killed command left");
        }
    }

    pub(super) fn try_sweep(&self) -> io::Result<()> {
        if self.unfinished()?.is_nothing() {
            return Ok(());
        }
        let Ok(names) = self.lock_names() else { return Ok(()) };
        let containers = self.directories().containers();
        // What was seen without the lock may have been finished meanwhile.
        for mark in self.unfinished()?.marks {
            mark.begin_removal(&containers)?;
        }
        for directory in self.unfinished()?.directories {
            if !is_locked(&directory) {
                holm_faults::fault!("container.sweep.remove").and_then(|()| durable::remove(&directory))?;
            }
        }
        for mark in self.unfinished()?.marks {
            mark.clear(&containers)?;
        }
        names.sweep()
    }

    fn unfinished(&self) -> io::Result<Unfinished> {
        let containers = self.directories().containers();
        let life = self.directories().life()?;
        let mut unfinished = Unfinished::default();
        for entry in fs::read_dir(&containers)?.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(NEW) || name.starts_with(OLD) {
                unfinished.directories.push(entry.path());
            } else {
                let mark = Mark::parse(&containers, &name);
                unfinished.marks.extend(mark.filter(|mark| mark.is_left(&containers, &life)));
            }
        }
        Ok(unfinished)
    }

    /// Deletes the mark of a container that is gone, if it had one.
    pub(super) fn unmark_if_marked(&self, container: &Container) -> Result<(), ContainerError> {
        match container.record.settings.durability() {
            Durability::Lasting => Ok(()),
            Durability::OneLife => self.unmark(&container.id),
        }
    }
}

/// What somebody works on, or did when he was killed or the power was cut.
#[derive(Default)]
struct Unfinished {
    /// Directories of containers that are being made or removed.
    directories: Vec<PathBuf>,
    /// Marks that are for nothing any more.
    marks: Vec<Mark>,
}

impl Unfinished {
    fn is_nothing(&self) -> bool {
        self.directories.is_empty() && self.marks.is_empty()
    }
}

impl Container {
    /// Its removal failed.
    fn set_dead(&self, error: &ContainerError) -> Result<(), ContainerError> {
        let state = self.read_state()?;
        self.write_state(&State { status: Status::Dead, error: error.to_string(), ..state })
    }
}

/// Whether somebody works on what is in a container's directory.
pub(super) fn is_locked(directory: &Path) -> bool {
    let lock = fs::File::open(directory.join("lock"));
    lock.is_ok_and(|lock| lock.try_lock().is_err())
}

/// Deletes everything but what makes it a container.
fn remove_contents(directory: &Path) -> Result<(), ContainerError> {
    const KEPT: [&str; 5] = ["record.json", "state.json", "state.json.spare", "name", "lock"];
    let failed = |source| write_error(directory, source);
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if !KEPT.iter().any(|kept| entry.file_name() == *kept) {
            let path = entry.path();
            holm_faults::fault!("container.remove.file")
                .and_then(|()| durable::remove(&path))
                .map_err(|source| write_error(&path, source))?;
        }
    }
    Ok(())
}
