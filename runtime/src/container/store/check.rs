//! Whether the containers are sound, and putting right what killed commands left.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::marks::Mark;
use super::names::write_error;
use super::{Container, ContainerError, ContainerStore, NEW, OLD};
use crate::check::Finding;
use crate::checkpoint::Checkpoints;
use crate::container::ContainerId;
use crate::durable;
use crate::file_error::{FileError, failed};
use crate::image::ImageStore;

impl ContainerStore {
    /// Looks at every container, its record, state, name and image, and at what belongs to none.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub(crate) fn check(&self, found: &mut dyn FnMut(Finding)) -> Result<(), ContainerError> {
        // Nobody makes or removes containers meanwhile: a lock that is looked at is one that its owner cannot take.
        let _names = self.lock_names()?;
        let containers = self.directories().containers();
        let run = self.directories().run();
        let life = self.directories().life();
        let life = life.map_err(failed("read", run))?;
        for entry in entries(&containers)? {
            let name = file_name(&entry);
            if let Ok(id) = name.parse() {
                self.check_container(id, &entry, found);
            } else if name.starts_with(NEW) || name.starts_with(OLD) {
                if is_free(&entry) {
                    found(Finding::leftover(entry, "the command that made or removed it was killed"));
                }
            } else if let Some(mark) = Mark::parse(&containers, &name) {
                if mark.is_left(&containers, &life) {
                    found(Finding::leftover(
                        entry,
                        "its container is not there, or was of an earlier life of the host",
                    ));
                }
            } else {
                found(Finding::unsound(entry, "it is no container"));
            }
        }
        for entry in entries(&self.directories().names())? {
            let name = file_name(&entry);
            if name == ".lock" {
                continue;
            }
            let owner = fs::read_to_string(&entry).unwrap_or_default();
            let container = self.directories().containers().join(&owner);
            if name.starts_with('.') || owner.is_empty() || !container.is_dir() {
                found(Finding::leftover(entry, "it names no container"));
            }
        }
        for entry in self.abandoned()? {
            found(Finding::leftover(entry, "no supervisor uses it"));
        }
        Ok(())
    }

    fn check_container(&self, id: ContainerId, place: &Path, found: &mut dyn FnMut(Finding)) {
        let record = place.join("record.json");
        match fs::read(&record).map(|bytes| ContainerId::of_record(&bytes)) {
            Ok(actual) if actual == id => {}
            Ok(actual) => {
                found(Finding::unsound(record, format!("it has the id {actual}: somebody changed it")));
            }
            // Removed at this moment.
            Err(_) if !place.exists() => return,
            Err(error) => found(Finding::damaged(record, &error)),
        }
        let container = match self.open(id) {
            Ok(container) => container,
            Err(error) => {
                found(Finding::damaged(place, &error));
                return;
            }
        };
        match container.read_state() {
            Ok(state) if state.status.is_active() && matches!(container.try_lock(), Ok(Some(_))) => {
                let problem = format!("it says {}, but the supervisor is gone", state.status);
                found(Finding::leftover(place.join("state.json"), problem));
            }
            Ok(_) => {}
            Err(_) if !place.exists() => return,
            Err(error) => found(Finding::damaged(place.join("state.json"), &error)),
        }
        let name = self.directories().names().join(container.name.as_str());
        let is_its = fs::read_to_string(&name).is_ok_and(|owner| owner == container.id.as_str());
        if !is_its && place.exists() {
            found(Finding::unsound(name, format!("it is not {}'s, whose name it is", container.id.short())));
        }
        self.check_image(&container, found);
        let checkpoints = Checkpoints::of(&container);
        for (place, error) in checkpoints.damaged() {
            found(Finding::damaged(place, &error));
        }
        for place in half_made(&container) {
            found(Finding::leftover(place, "the command that made it was killed"));
        }
    }

    fn check_image(&self, container: &Container, found: &mut dyn FnMut(Finding)) {
        let image = ImageStore::open_as_is(self.directories().root())
            .and_then(|store| store.resolve(&container.record.image_id));
        if let Err(error) = image
            && container.directory().exists()
        {
            found(Finding::damaged(container.directory(), &error));
        }
    }

    /// Removes what killed commands left, and notes the end of containers whose supervisor is gone.
    ///
    /// # Errors
    /// Names what cannot be removed or written.
    pub(crate) fn repair(&self) -> Result<(), ContainerError> {
        let containers = self.directories().containers();
        self.try_sweep().map_err(|source| write_error(&containers, source))?;
        let names = self.lock_names()?;
        names.sweep().map_err(|source| write_error(&self.directories().names(), source))?;
        drop(names);
        for container in self.list()? {
            for place in half_made(&container) {
                durable::remove(&place).map_err(|source| write_error(&place, source))?;
            }
            match container.state() {
                // One that is damaged is for people to decide about.
                Ok(_)
                | Err(ContainerError::File(FileError::Damaged { .. }) | ContainerError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        for place in self.abandoned()? {
            durable::remove(&place).map_err(|source| write_error(&place, source))?;
        }
        Ok(())
    }

    /// Directories of sockets that no supervisor has.
    fn abandoned(&self) -> Result<Vec<PathBuf>, ContainerError> {
        let mut abandoned = entries(self.directories().run())?;
        abandoned.retain(|entry| {
            let Ok(id) = file_name(entry).parse::<ContainerId>() else { return false };
            let container = self.directories().containers().join(id.as_str());
            !container.is_dir() || is_free(&container)
        });
        Ok(abandoned)
    }
}

/// What killed supervisors left of checkpoints and of starts from them; nothing while somebody may be at it.
fn half_made(container: &Container) -> Vec<PathBuf> {
    let Ok(Some(_lock)) = container.try_lock() else { return Vec::new() };
    let layer = Some(container.next_layer()).filter(|layer| layer.exists());
    Checkpoints::of(container).leftovers().into_iter().chain(layer).collect()
}

/// Whether nobody holds the lock in a container's directory.
fn is_free(directory: &Path) -> bool {
    fs::File::open(directory.join("lock")).map_or(true, |lock| lock.try_lock().is_ok())
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, ContainerError> {
    let failed = failed("read", directory);
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut all: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    all.sort();
    Ok(all)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
