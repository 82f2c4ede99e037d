//! Where a checkpoint is.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::CheckpointName;

/// A checkpoint by its name, with its container or in a directory that the user chose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointPlace {
    /// Its name.
    pub name: CheckpointName,
    /// The directory, absolute; `None` for the container's own.
    pub directory: Option<PathBuf>,
}

impl From<CheckpointName> for CheckpointPlace {
    fn from(name: CheckpointName) -> Self {
        Self { name, directory: None }
    }
}
