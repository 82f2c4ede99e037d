//! Who may change a container: one process at a time, the supervisor for as long as it lives.
//!
//! A lock on a file in the container's directory (flock(2)): it belongs to the open file, so whoever starts a supervisor
//! takes it and hands it on, and the kernel gives it back when its last holder dies, however that happens.

use std::fs::{File, TryLockError};
use std::io;
use std::process::Stdio;

use super::error::ContainerError;
use super::store::Container;
use crate::file_error::failed;

/// The right to change a container, as long as it lives.
#[derive(Debug)]
pub struct ContainerLock(File);

impl ContainerLock {
    /// For a process that is to hold it, as one of its standard streams.
    #[must_use]
    pub fn into_stdio(self) -> Stdio {
        Stdio::from(self.0)
    }
}

impl Container {
    /// Takes the lock; `None` while somebody else has it.
    ///
    /// # Errors
    /// The container is gone, or its directory cannot be written.
    pub fn try_lock(&self) -> Result<Option<ContainerLock>, ContainerError> {
        let path = self.directory().join("lock");
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => ContainerError::NotFound(self.id.to_string()),
            _ => failed("write", &path)(source).into(),
        };
        let file = holm_faults::fault!("container.lock.open")
            .and_then(|()| File::options().create(true).append(true).open(&path))
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(ContainerLock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}
