//! What can go wrong with a container's files.

use super::name::ContainerName;
use crate::file_error::FileError;
use crate::host::DirectoriesError;

/// A container's record, state or name could not be read, written or found.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// No container of this name or id.
    #[error("no such container: {0}")]
    NotFound(String),
    /// Several ids begin so.
    #[error("multiple containers found with the id prefix {0:?}")]
    Ambiguous(String),
    /// The name belongs to another container.
    #[error(
        "the container name \"/{name}\" is already in use by container \"{owner}\"; remove (or rename) that container \
         to be able to reuse that name"
    )]
    NameTaken {
        /// What was asked for.
        name: ContainerName,
        /// Whose it is.
        owner: String,
    },
    /// It runs.
    #[error(
        "cannot remove container {name:?}: container is {status}: stop the container before removing or force remove"
    )]
    Running {
        /// As the user called it.
        name: String,
        /// `running`, `paused` or `restarting`.
        status: String,
    },
    /// A directory could not be made.
    #[error(transparent)]
    Directory(#[from] DirectoriesError),
    /// Something about a file.
    #[error(transparent)]
    File(#[from] FileError),
}
