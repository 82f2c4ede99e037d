//! What can change after a container was made. Its record is sealed by its id, so each such setting has a file of its own
//! beside the record, which stands for the record's value once it is there (docs/decisions/0015-mutable-settings.md).

use std::fs;
use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Container, ContainerError, write};
use crate::container::settings::{Limits, NetworkConnection, RestartPolicy, Settings};
use crate::file_error::{damaged, failed};

const LIMITS: &str = "limits.json";
const NETWORKS: &str = "networks.json";
const RESTART: &str = "restart";

impl Container {
    /// The restart policy that holds now.
    #[must_use]
    pub fn restart_policy(&self) -> RestartPolicy {
        let changed = fs::read_to_string(self.directory().join(RESTART));
        changed.ok().and_then(|text| text.parse().ok()).unwrap_or(self.record.settings.restart)
    }

    /// Sets another restart policy. A supervisor that runs looks at it when its workload ends.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn set_restart_policy(&self, policy: RestartPolicy) -> Result<(), ContainerError> {
        write(&self.directory().join(RESTART), policy.to_string().as_bytes())?;
        self.note("update", &[]);
        Ok(())
    }

    /// The networks that it is on when it runs, in the order of its interfaces.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn connections(&self) -> Result<Vec<NetworkConnection>, ContainerError> {
        Ok(self.changed(NETWORKS)?.unwrap_or_else(|| self.record.settings.connections()))
    }

    /// Sets other networks. Whoever does that holds the container's lock.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn set_connections(&self, connections: &[NetworkConnection]) -> Result<(), ContainerError> {
        self.change(NETWORKS, connections)
    }

    /// What it may use now.
    ///
    /// # Errors
    /// The file that says so cannot be read, or is damaged.
    pub fn limits(&self) -> Result<Limits, ContainerError> {
        Ok(self.changed(LIMITS)?.unwrap_or_else(|| self.record.settings.limits.clone()))
    }

    /// Sets other limits, which hold from the next start on; whoever has the container's lock sees to a VM that runs.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn set_limits(&self, limits: &Limits) -> Result<(), ContainerError> {
        self.change(LIMITS, limits)?;
        self.note("update", &[]);
        Ok(())
    }

    /// What was asked for, with what was changed since.
    ///
    /// # Errors
    /// As [`Container::limits`].
    pub fn settings(&self) -> Result<Settings, ContainerError> {
        let settings = self.record.settings.limited(self.limits()?);
        Ok(Settings { restart: self.restart_policy(), ..settings })
    }

    /// What one of the files says; `None` where nothing was changed.
    fn changed<T: DeserializeOwned>(&self, file: &str) -> Result<Option<T>, ContainerError> {
        let path = self.directory().join(file);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).map_err(damaged(&path))?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed("read", &path)(source).into()),
        }
    }

    fn change<T: Serialize + ?Sized>(&self, file: &str, value: &T) -> Result<(), ContainerError> {
        let path = self.directory().join(file);
        let bytes = serde_json::to_vec(value).map_err(damaged(&path))?;
        write(&path, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::{ContainerName, ContainerStore, Record};
    use crate::host::Directories;
    use time::OffsetDateTime;

    #[test]
    fn changed_limits_stand_for_the_records() {
        let dir = tempfile::tempdir().unwrap();
        let directories = Directories::at(dir.path().join("root"), dir.path().join("run"));
        directories.create().unwrap();
        let settings =
            Settings { limits: Limits { pids_limit: Some(5), ..Limits::default() }, ..Settings::default() };
        let record = Record {
            created: OffsetDateTime::UNIX_EPOCH,
            nonce: "a".into(),
            image_id: "sha256:0".into(),
            image: "busybox".into(),
            name: ContainerName::generated(0),
            settings,
        };
        let store = ContainerStore::new(directories);
        let made = store.create(record, None).unwrap();
        assert_eq!(made.settings().unwrap(), made.record.settings);
        let changed = Limits { memory: Some("64m".parse().unwrap()), ..Limits::default() };
        made.set_limits(&changed).unwrap();
        let again = store.open(made.id).unwrap();
        assert_eq!(again.settings().unwrap().limits, changed);
        assert_eq!(again.record.settings.limits.pids_limit, Some(5));
    }
}
