//! What of the host a container sees, and where: as its record keeps it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::volume::VolumeName;

/// A directory or file of the host on a path of the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Mount {
    /// What it is.
    pub kind: MountKind,
    /// Absolute path in the container, without `.` and `..`.
    pub destination: String,
    /// Enforced on the host.
    pub read_only: bool,
}

/// Whose directory or file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", rename_all_fields = "PascalCase")]
pub enum MountKind {
    /// The user's.
    Bind {
        /// Absolute path on the host, as given.
        source: PathBuf,
    },
    /// A volume's.
    Volume {
        /// The volume.
        name: VolumeName,
        /// Do not fill it from the image's directory.
        no_copy: bool,
    },
}

impl Mount {
    /// The volume, if it is one.
    #[must_use]
    pub fn volume(&self) -> Option<&VolumeName> {
        match &self.kind {
            MountKind::Volume { name, .. } => Some(name),
            MountKind::Bind { .. } => None,
        }
    }
}
