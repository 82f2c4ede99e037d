//! The network namespace of a container on the host: the supervisor lives in it, so that engines and hooks find it by the pid
//! that they know.

use std::fs::File;
use std::path::PathBuf;

use nix::sched::{CloneFlags, setns, unshare};

use super::error::OciError;

/// Where a container's network is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NetworkNamespace {
    /// A new one; hooks may put something into it.
    New,
    /// One that the engine prepared.
    Join(PathBuf),
}

impl NetworkNamespace {
    /// Enters it, with this thread and those that it makes from now on.
    pub(super) fn enter(&self) -> Result<(), OciError> {
        match self {
            Self::New => {
                unshare(CloneFlags::CLONE_NEWNET).map_err(OciError::system("cannot make a network namespace"))
            }
            Self::Join(path) => {
                let namespace =
                    File::open(path).map_err(|source| OciError::Read { path: path.clone(), source })?;
                setns(namespace, CloneFlags::CLONE_NEWNET)
                    .map_err(OciError::system("cannot join the network namespace"))
            }
        }
    }
}
