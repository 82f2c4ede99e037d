//! The volumes on disk: create, find, list, remove.
//!
//! ```text
//!   .new-<name>/ ──record and empty data──> renamed to <name>/ ──renamed to .old-<name>/: it no longer exists──> deleted
//! ```

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::driver::VolumeDriver;
use super::error::VolumeError;
use super::name::VolumeName;
use super::record::VolumeRecord;
use crate::container::{Container, ContainerStore};
use crate::durable::{self, Durability};
use crate::file_error::{damaged, failed};
use crate::host::{Directories, create_private_directory};
use crate::storage;

/// Directories of volumes that are being made, and of those that are being removed, begin so.
pub(super) const NEW: &str = ".new-";
pub(super) const OLD: &str = ".old-";
const RECORD: &str = "volume.json";
const DIRECTORY: &str = "_data";
const DISK: &str = "disk.ext4";
const FILLING: &str = "filling";

/// All volumes of one root.
#[derive(Clone, Debug)]
pub struct VolumeStore {
    directories: Directories,
}

/// A volume.
#[derive(Clone, Debug)]
pub struct Volume {
    /// Its name.
    pub name: VolumeName,
    /// What was asked.
    pub record: VolumeRecord,
    directory: PathBuf,
}

/// The right to make and remove volumes, while it lives. Whoever makes a container that uses volumes holds it until the
/// container's record is there: no volume is unused meanwhile.
#[derive(Debug)]
pub struct VolumeLock(#[allow(dead_code, reason = "it is held")] File);

impl VolumeStore {
    /// Works on `directories`, which must have been created.
    #[must_use]
    pub fn new(directories: Directories) -> Self {
        Self { directories }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directories.volumes()
    }

    /// Waits for the right to change volumes, and deletes what killed commands left.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn lock(&self) -> Result<VolumeLock, VolumeError> {
        let path = self.path();
        let failed = failed("write", &path);
        create_private_directory(&path).map_err(|error| failed(io::Error::other(error)))?;
        let lock = holm_faults::fault!("volume.lock")
            .and_then(|()| File::create(path.join(".lock")))
            .map_err(failed)?;
        lock.lock().map_err(failed)?;
        for leftover in self.leftovers()? {
            holm_faults::fault!("volume.leftover.remove")
                .and_then(|()| durable::remove(&leftover))
                .map_err(failed)?;
        }
        Ok(VolumeLock(lock))
    }

    /// What killed makers and removers left.
    pub(super) fn leftovers(&self) -> Result<Vec<PathBuf>, VolumeError> {
        let is_one = |name: &str| name.starts_with(NEW) || name.starts_with(OLD);
        Ok(self
            .entries()?
            .into_iter()
            .filter(|name| is_one(name))
            .map(|name| self.path().join(name))
            .collect())
    }

    pub(super) fn entries(&self) -> Result<Vec<String>, VolumeError> {
        let path = self.path();
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed("read", &path))?,
        };
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort();
        Ok(names)
    }

    /// Makes a volume; one that is there already is left as it is, as in Docker. False when it was there.
    ///
    /// # Errors
    /// It cannot be written; nothing is left then.
    pub fn create(
        &self,
        _: &VolumeLock,
        name: &VolumeName,
        record: &VolumeRecord,
    ) -> Result<bool, VolumeError> {
        let made = self.path().join(name.as_str());
        if made.exists() {
            // What a mount makes is made if there is none of any kind.
            let same = record.driver == VolumeDriver::Local
                || self.find(name.as_str())?.record.driver == record.driver;
            return if same { Ok(false) } else { Err(VolumeError::Conflict(name.clone())) };
        }
        let new = self.path().join(format!("{NEW}{name}"));
        let failed = failed("write", &made);
        let bytes = serde_json::to_vec(record).map_err(damaged(&made))?;
        // Others may pass: the data's own permissions are the image's or the user's.
        holm_faults::fault!("volume.create.directory")
            .and_then(|()| fs::DirBuilder::new().mode(0o701).create(&new))
            .map_err(failed)?;
        match record.driver {
            VolumeDriver::Local => {
                holm_faults::fault!("volume.create.data")
                    .and_then(|()| fs::DirBuilder::new().mode(0o755).create(new.join(DIRECTORY)))
                    .map_err(failed)?;
            }
            VolumeDriver::Block(size) => {
                let disk = new.join(DISK);
                storage::create_writable_layer(
                    &self.directories.blank(),
                    &disk,
                    size.bytes(),
                    Durability::Lasting,
                )?;
                File::open(&disk).and_then(|disk| disk.sync_all()).map_err(failed)?;
                // Nobody can look into it: the guest fills it when it is first used.
                holm_faults::fault!("volume.create.filling")
                    .and_then(|()| durable::write(&new.join(FILLING), b""))
                    .map_err(failed)?;
            }
        }
        holm_faults::fault!("volume.create.record")
            .and_then(|()| durable::write(&new.join(RECORD), &bytes))
            .map_err(failed)?;
        holm_faults::fault!("volume.create.rename").and_then(|()| fs::rename(&new, &made)).map_err(failed)?;
        holm_faults::crash!("volume.create.made");
        durable::sync_directory(&self.path()).map_err(failed)?;
        Ok(true)
    }

    /// Finds by name.
    ///
    /// # Errors
    /// There is none, or its record is damaged.
    pub fn find(&self, name: &str) -> Result<Volume, VolumeError> {
        let missing = || VolumeError::NotFound(name.to_owned());
        let valid: VolumeName = name.parse().map_err(|_| missing())?;
        let directory = self.path().join(valid.as_str());
        let path = directory.join(RECORD);
        let bytes = fs::read(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => missing(),
            _ => failed("read", &path)(source).into(),
        })?;
        let record = serde_json::from_slice(&bytes).map_err(damaged(&path))?;
        Ok(Volume { name: valid, record, directory })
    }

    /// Every volume, by name.
    ///
    /// # Errors
    /// The directory cannot be read, or a record is damaged.
    pub fn list(&self) -> Result<Vec<Volume>, VolumeError> {
        let mut volumes = Vec::new();
        for name in self.entries()? {
            match self.find(&name) {
                Ok(volume) => volumes.push(volume),
                // Files of the store, and what was removed meanwhile.
                Err(VolumeError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(volumes)
    }

    /// Deletes a volume that no container has.
    ///
    /// # Errors
    /// It is in use, or cannot be deleted.
    pub fn remove(
        &self,
        _: &VolumeLock,
        volume: &Volume,
        containers: &ContainerStore,
    ) -> Result<(), VolumeError> {
        let users = users_of(containers, &volume.name)?;
        if !users.is_empty() {
            return Err(VolumeError::InUse { name: volume.name.clone(), users });
        }
        let failed = failed("write", &volume.directory);
        let old = self.path().join(format!("{OLD}{}", volume.name));
        holm_faults::fault!("volume.remove.rename")
            .and_then(|()| fs::rename(&volume.directory, &old))
            .map_err(failed)?;
        holm_faults::crash!("volume.remove.renamed");
        durable::sync_directory(&self.path()).map_err(failed)?;
        Ok(holm_faults::fault!("volume.remove.data").and_then(|()| durable::remove(&old)).map_err(failed)?)
    }

    /// Deletes the anonymous volumes that a container had and no other has. The container is gone.
    ///
    /// # Errors
    /// One cannot be deleted.
    pub fn remove_anonymous(
        &self,
        container: &Container,
        containers: &ContainerStore,
    ) -> Result<(), VolumeError> {
        let names: Vec<_> = container.record.settings.mounts.iter().filter_map(|m| m.volume()).collect();
        if names.is_empty() {
            return Ok(());
        }
        let lock = self.lock()?;
        for name in names {
            match self.find(name.as_str()) {
                Ok(volume) if volume.record.anonymous => match self.remove(&lock, &volume, containers) {
                    Err(VolumeError::InUse { .. }) | Ok(()) => {}
                    failed => return failed,
                },
                Ok(_) | Err(VolumeError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Names of the containers that have a volume. Containers that cannot be read are an error: nobody may take a volume for
/// unused.
pub(super) fn users_of(containers: &ContainerStore, name: &VolumeName) -> Result<Vec<String>, VolumeError> {
    let uses = |container: &&Container| {
        container.record.settings.mounts.iter().any(|mount| mount.volume() == Some(name))
    };
    Ok(containers.list()?.iter().filter(uses).map(|container| container.name.to_string()).collect())
}

impl Volume {
    /// The directory that containers see, or the disk that it is on.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.directory.join(match self.record.driver {
            VolumeDriver::Local => DIRECTORY,
            VolumeDriver::Block(_) => DISK,
        })
    }

    /// Where it is noted that it is being filled.
    #[must_use]
    pub fn filling(&self) -> PathBuf {
        self.directory.join(FILLING)
    }

    /// Names of the containers that have it.
    ///
    /// # Errors
    /// Containers cannot be read.
    pub fn users(&self, containers: &ContainerStore) -> Result<Vec<String>, VolumeError> {
        users_of(containers, &self.name)
    }

    /// Whether nothing was ever put in it, or putting in what the image has was cut short.
    pub(super) fn wants_filling(&self) -> bool {
        let is_empty = |path: &Path| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        self.filling().exists() || is_empty(&self.data())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(dir: &Path) -> (VolumeStore, ContainerStore) {
        let directories = Directories::at(dir.join("root"), dir.join("run"));
        directories.create().unwrap();
        (VolumeStore::new(directories.clone()), ContainerStore::new(directories))
    }

    #[test]
    fn a_volume_is_made_once_found_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (volumes, containers) = store(dir.path());
        let name: VolumeName = "db".parse().unwrap();
        let record = VolumeRecord::now([("a".to_owned(), "1".to_owned())].into(), false);
        let lock = volumes.lock().unwrap();
        assert!(volumes.create(&lock, &name, &record).unwrap());
        assert!(!volumes.create(&lock, &name, &VolumeRecord::now([].into(), false)).unwrap());
        let found = volumes.find("db").unwrap();
        assert_eq!(found.record.labels, record.labels);
        assert!(found.data().is_dir() && found.wants_filling());
        fs::write(found.data().join("x"), "").unwrap();
        assert!(!found.wants_filling());
        volumes.remove(&lock, &found, &containers).unwrap();
        assert!(matches!(volumes.find("db"), Err(VolumeError::NotFound(_))));
        assert!(matches!(volumes.find("../containers"), Err(VolumeError::NotFound(_))));
    }

    #[test]
    fn what_killed_commands_left_goes_with_the_next_change() {
        let dir = tempfile::tempdir().unwrap();
        let (volumes, _) = store(dir.path());
        drop(volumes.lock().unwrap());
        for name in [".new-a", ".old-b"] {
            fs::create_dir_all(volumes.path().join(name).join("_data")).unwrap();
        }
        assert_eq!((volumes.list().unwrap().len(), volumes.leftovers().unwrap().len()), (0, 2));
        drop(volumes.lock().unwrap());
        assert_eq!(volumes.leftovers().unwrap(), [] as [PathBuf; 0]);
    }
}
