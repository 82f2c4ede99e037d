//! Errors of volumes and of what is mounted from the host.

use std::path::PathBuf;

use super::name::VolumeName;
use crate::container::ContainerError;
use crate::file_error::FileError;
use crate::storage::WritableLayerError;

/// A volume cannot be made, used or removed.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// None of that name.
    #[error("no such volume: {0}")]
    NotFound(String),
    /// There is one of another kind.
    #[error("create {0}: conflict: volume name must be unique")]
    Conflict(VolumeName),
    /// Its disk cannot be made.
    #[error(transparent)]
    Disk(#[from] WritableLayerError),
    /// A disk is another VM's.
    #[error(
        "volume {0} is in use: a block volume can be mounted by one running container, or by several that only read"
    )]
    Busy(VolumeName),
    /// Containers have it.
    #[error("remove {name}: volume is in use - [{}]", users.join(", "))]
    InUse {
        /// The volume.
        name: VolumeName,
        /// Names of the containers.
        users: Vec<String>,
    },
    /// A directory of the host that is to be mounted is not there.
    #[error("invalid mount config for type \"bind\": bind source path does not exist: {}", .0.display())]
    NoSource(PathBuf),
    /// Something that cannot be carried into a VM.
    #[error("invalid mount config for type \"bind\": {} is no directory, no file and no socket", .0.display())]
    Unshareable(PathBuf),
    /// Its path cannot be given to the VM.
    #[error("invalid mount config for type \"bind\": the path {} is not UTF-8", .0.display())]
    NotText(PathBuf),
    /// Two mounts on one path.
    #[error("duplicate mount point: {0}")]
    Duplicate(String),
    /// A rate is given for something that is no disk.
    #[error(
        "no disk of the container is mounted on {0}: rates can be given for / (its writable layer) and block volumes"
    )]
    NoDisk(String),
    /// A container that `--volumes-from` names.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// Something about a file.
    #[error(transparent)]
    File(#[from] FileError),
}
