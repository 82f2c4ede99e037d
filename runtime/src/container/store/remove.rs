//! Removing a container, and what killed makers and removers left.
//!
//! ```text
//!   <id>/ ──renamed to .old-<id>/: it no longer exists──> name free ──> files deleted
//! ```

use std::fs;
use std::io;
use std::path::PathBuf;

use super::names::write_error;
use super::{Container, ContainerStore, NEW, OLD};
use crate::container::ContainerError;
use crate::durable;

impl ContainerStore {
    /// Deletes the container's files and gives its name back. The caller holds its lock.
    ///
    /// # Errors
    /// Names what could not be removed; calling again goes on.
    pub fn remove(&self, container: &Container) -> Result<(), ContainerError> {
        let run = self.directories().run_of(container.id.as_str());
        durable::remove(&run).map_err(|source| write_error(&run, source))?;
        let containers = self.directories().containers();
        let old = containers.join(format!("{OLD}{}", container.id));
        {
            let names = self.lock_names()?;
            match fs::rename(&container.directory, &old) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                renamed => renamed.map_err(|source| write_error(&container.directory, source))?,
            }
            durable::sync_directory(&containers).map_err(|source| write_error(&containers, source))?;
            names.give_back(&container.name, &container.id)?;
        }
        durable::remove(&old).map_err(|source| write_error(&old, source))
    }

    /// Deletes what killed commands left half-made or half-removed. What somebody works on is locked, and left alone.
    pub(super) fn sweep(&self) {
        if let Err(error) = self.try_sweep() {
            // The next command tries again.
            tracing::warn!(%error, "cannot remove what a killed command left");
        }
    }

    fn try_sweep(&self) -> io::Result<()> {
        if self.unfinished()?.is_empty() {
            return Ok(());
        }
        let Ok(names) = self.lock_names() else { return Ok(()) };
        // What was seen without the lock may have been finished meanwhile.
        for directory in self.unfinished()? {
            let lock = fs::File::open(directory.join("lock"));
            if lock.as_ref().is_ok_and(|lock| lock.try_lock().is_err()) {
                continue;
            }
            durable::remove(&directory)?;
        }
        names.sweep()
    }

    /// Directories of containers that are being made or removed, or were when somebody was killed.
    fn unfinished(&self) -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(self.directories().containers())?.flatten();
        let unfinished = entries.filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with(NEW) || name.starts_with(OLD)
        });
        Ok(unfinished.map(|entry| entry.path()).collect())
    }
}
