//! The containers on disk: create, find, list, remove.
//!
//! Any number of command lines and supervisors work on it at once without a daemon: names are taken under a lock, a
//! record is written once, and a state is replaced whole by the one supervisor that owns it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::error::ContainerError;
use super::id::ContainerId;
use super::name::ContainerName;
use super::record::Record;
use super::state::State;
use crate::durable;
use crate::host::{Directories, create_private_directory};

/// All containers of one root.
#[derive(Clone, Debug)]
pub struct ContainerStore {
    directories: Directories,
}

/// One container.
#[derive(Clone, Debug)]
pub struct Container {
    /// Its id.
    pub id: ContainerId,
    /// What was asked.
    pub record: Record,
    directory: PathBuf,
}

/// How many numbers are tried after a generated name before giving up.
const NAME_ATTEMPTS: u32 = 1000;

impl ContainerStore {
    /// Works on `directories`, which must have been created.
    #[must_use]
    pub fn new(directories: Directories) -> Self {
        Self { directories }
    }

    /// Where everything lives.
    #[must_use]
    pub fn directories(&self) -> &Directories {
        &self.directories
    }

    /// Takes the name and writes the record and the first state. `name` is made up when it is `None`; the record's own
    /// name is replaced by the one that was taken.
    ///
    /// # Errors
    /// When the name is taken or a file cannot be written; nothing is left then.
    pub fn create(
        &self,
        mut record: Record,
        name: Option<ContainerName>,
    ) -> Result<Container, ContainerError> {
        let (name, given) = match name {
            Some(name) => (name, true),
            None => (record.name.clone(), false),
        };
        for number in 0..NAME_ATTEMPTS {
            record.name = if number == 0 { name.clone() } else { name.numbered(number) };
            let (id, bytes) = record
                .seal()
                .map_err(|source| ContainerError::Damaged { path: self.directories.containers(), source })?;
            let directory = self.directories.containers().join(id.as_str());
            let container = Container { directory, id, record: record.clone() };
            // The directory comes before the name: a name without one is a leftover that others may take over.
            let made = container.write_new(&bytes).and_then(|()| self.take_name(&container));
            match made {
                Ok(()) => return Ok(container),
                Err(error) => {
                    // The first failure is the one to tell.
                    let _ = self.remove(&container);
                    if given || !matches!(error, ContainerError::NameTaken { .. }) {
                        return Err(error);
                    }
                }
            }
        }
        Err(ContainerError::NameTaken { name, owner: "several".to_owned() })
    }

    fn take_name(&self, container: &Container) -> Result<(), ContainerError> {
        let names = self.directories.names();
        let path = names.join(container.record.name.as_str());
        let write_error = |source| ContainerError::Write { path: path.clone(), source };
        let lock = File::create(names.join(".lock")).map_err(write_error)?;
        lock.lock().map_err(write_error)?;
        let owner = fs::read_to_string(&path).unwrap_or_default();
        // A crash may have left the name of a container that is gone.
        if !owner.is_empty() && self.directories.containers().join(&owner).is_dir() {
            return Err(ContainerError::NameTaken { name: container.record.name.clone(), owner });
        }
        durable::write(&path, container.id.as_str().as_bytes()).map_err(write_error)
    }

    /// Finds by name, id, or unambiguous beginning of an id.
    ///
    /// # Errors
    /// When there is none, or several.
    pub fn find(&self, name_or_id: &str) -> Result<Container, ContainerError> {
        if let Ok(name) = name_or_id.parse::<ContainerName>()
            && let Ok(owner) = fs::read_to_string(self.directories.names().join(name.as_str()))
            && let Ok(id) = owner.parse()
        {
            return self.open(id);
        }
        let mut matching = self.ids()?.into_iter().filter(|id| id.as_str().starts_with(name_or_id));
        match (matching.next(), matching.next()) {
            (Some(id), None) if !name_or_id.is_empty() => self.open(id),
            (Some(_), Some(_)) => Err(ContainerError::Ambiguous(name_or_id.to_owned())),
            _ => Err(ContainerError::NotFound(name_or_id.to_owned())),
        }
    }

    /// Every container, newest first. One that is being removed meanwhile is left out.
    ///
    /// # Errors
    /// When the directory cannot be read or a record is damaged.
    pub fn list(&self) -> Result<Vec<Container>, ContainerError> {
        let mut containers = Vec::new();
        for id in self.ids()? {
            match self.open(id) {
                Ok(container) => containers.push(container),
                Err(ContainerError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        containers.sort_by_key(|container| std::cmp::Reverse(container.record.created));
        Ok(containers)
    }

    fn ids(&self) -> Result<Vec<ContainerId>, ContainerError> {
        let path = self.directories.containers();
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(ContainerError::Read { path, source }),
        };
        Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
    }

    /// Opens by full id.
    ///
    /// # Errors
    /// When there is none of that id, or its record is damaged.
    pub fn open(&self, id: ContainerId) -> Result<Container, ContainerError> {
        let directory = self.directories.containers().join(id.as_str());
        let path = directory.join("record.json");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ContainerError::NotFound(id.to_string()));
            }
            Err(source) => return Err(ContainerError::Read { path, source }),
        };
        let record =
            serde_json::from_slice(&bytes).map_err(|source| ContainerError::Damaged { path, source })?;
        Ok(Container { id, record, directory })
    }

    /// Deletes the container's files and gives its name back. The caller has made sure that it does not run.
    ///
    /// # Errors
    /// Names what could not be removed; calling again goes on.
    pub fn remove(&self, container: &Container) -> Result<(), ContainerError> {
        let name = self.directories.names().join(container.record.name.as_str());
        let owned = fs::read_to_string(&name).is_ok_and(|owner| owner == container.id.as_str());
        let run = self.directories.run_of(container.id.as_str());
        // The directory goes last but one: until then the container can still be found and removed again.
        let paths = [Some(&run), Some(&container.directory), owned.then_some(&name)];
        for path in paths.into_iter().flatten() {
            durable::remove(path).map_err(|source| ContainerError::Write { path: path.clone(), source })?;
        }
        Ok(())
    }
}

impl Container {
    fn write_new(&self, record: &[u8]) -> Result<(), ContainerError> {
        create_private_directory(&self.directory)?;
        write(&self.directory.join("record.json"), record)?;
        self.write_state(&State::default())
    }

    /// Its directory on disk.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its writable layer.
    #[must_use]
    pub fn layer(&self) -> PathBuf {
        self.directory.join("layer.ext4")
    }

    /// Its log, of the json-file driver ([`crate::logs`]); rotated files stand beside it.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.directory.join(format!("{}-json.log", self.id))
    }

    /// Reads the state.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn state(&self) -> Result<State, ContainerError> {
        let path = self.directory.join("state.json");
        let bytes = fs::read(&path).map_err(|source| ContainerError::Read { path: path.clone(), source })?;
        serde_json::from_slice(&bytes).map_err(|source| ContainerError::Damaged { path, source })
    }

    /// Replaces the state.
    ///
    /// # Errors
    /// When it cannot be written; the old state stands.
    pub fn write_state(&self, state: &State) -> Result<(), ContainerError> {
        let path = self.directory.join("state.json");
        let bytes = serde_json::to_vec(state)
            .map_err(|source| ContainerError::Damaged { path: path.clone(), source })?;
        write(&path, &bytes)
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ContainerError> {
    durable::write(path, bytes).map_err(|source| ContainerError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::settings::Settings;
    use time::OffsetDateTime;

    fn store(dir: &Path) -> ContainerStore {
        let directories = Directories::at(dir.join("root"), dir.join("run"));
        directories.create().unwrap();
        ContainerStore::new(directories)
    }

    fn record(nonce: &str) -> Record {
        Record {
            created: OffsetDateTime::UNIX_EPOCH,
            nonce: nonce.into(),
            image_id: "sha256:0".into(),
            image: "busybox".into(),
            name: ContainerName::generated(0),
            settings: Settings::default(),
        }
    }

    #[test]
    fn a_container_is_found_by_name_id_and_prefix_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let made = store.create(record("a"), Some("web".parse().unwrap())).unwrap();
        for key in ["web", made.id.as_str(), made.id.short(), &made.id.as_str()[..3]] {
            assert_eq!(store.find(key).unwrap().id, made.id, "{key}");
        }
        assert_eq!(made.state().unwrap(), State::default());
        store.remove(&made).unwrap();
        assert!(matches!(store.find("web"), Err(ContainerError::NotFound(_))));
        assert!(store.list().unwrap().is_empty());
        store.create(record("b"), Some("web".parse().unwrap())).unwrap();
    }

    #[test]
    fn the_id_is_the_hash_of_the_record() {
        let dir = tempfile::tempdir().unwrap();
        let made = store(dir.path()).create(record("a"), None).unwrap();
        let bytes = fs::read(made.directory().join("record.json")).unwrap();
        assert_eq!(ContainerId::of_record(&bytes), made.id);
    }

    #[test]
    fn given_names_collide_and_generated_ones_are_numbered() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let name: ContainerName = "web".parse().unwrap();
        store.create(record("a"), Some(name.clone())).unwrap();
        assert!(matches!(store.create(record("b"), Some(name)), Err(ContainerError::NameTaken { .. })));
        assert_eq!(store.list().unwrap().len(), 1, "the refused container leaves nothing");
        let first = store.create(record("c"), None).unwrap();
        let second = store.create(record("d"), None).unwrap();
        assert_ne!(first.record.name, second.record.name);
    }

    #[test]
    fn a_name_whose_container_never_came_to_be_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        fs::write(store.directories().names().join("web"), "0".repeat(64)).unwrap();
        let made = store.create(record("a"), Some("web".parse().unwrap())).unwrap();
        assert_eq!(store.find("web").unwrap().id, made.id);
    }
}
