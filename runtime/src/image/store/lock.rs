//! The store's lock: held while the catalog changes, files appear in or vanish from the store, or staging directories
//! are made or cleared. Never held while a layer is read.

use std::fs::{File, OpenOptions};

use super::paths::Paths;
use crate::image::ImageError;

/// Exclusive, among processes and threads, until dropped.
pub(super) struct StoreLock {
    _file: File,
}

impl StoreLock {
    /// Waits for it.
    pub(super) fn take(paths: &Paths) -> Result<Self, ImageError> {
        let path = paths.lock();
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(ImageError::io("open", &path))?;
        file.lock().map_err(ImageError::io("lock", &path))?;
        Ok(Self { _file: file })
    }
}
