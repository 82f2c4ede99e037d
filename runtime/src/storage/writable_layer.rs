//! The writable layer: a sparse ext4 file of the container's own, from create to rm (M09).

use std::io;
use std::path::{Path, PathBuf};

use super::blank::{self, BlankError};
use super::sparse_copy::sparse_copy;
use crate::durable::Durability;

/// Why a layer could not be made.
#[derive(Debug, thiserror::Error)]
pub enum WritableLayerError {
    /// The file system it starts from.
    #[error(transparent)]
    Blank(#[from] BlankError),
    /// The copy.
    #[error("cannot create the writable layer {}", path.display())]
    Copy {
        /// The layer.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Makes an empty layer of `size_bytes` at `path` from the blank file system in `blank_directory`.
///
/// # Errors
/// When it cannot be made; what was begun is removed.
pub fn create(
    blank_directory: &Path,
    path: &Path,
    size_bytes: u64,
    durability: Durability,
) -> Result<(), WritableLayerError> {
    let blank = blank::ensure(blank_directory, size_bytes, durability)?;
    holm_faults::fault!("storage.layer.copy").and_then(|()| sparse_copy(&blank, path)).map_err(|source| {
        // The first failure is the one to tell.
        let _ = crate::durable::remove(path);
        WritableLayerError::Copy { path: path.to_owned(), source }
    })
}
