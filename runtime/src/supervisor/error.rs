//! Why a supervisor could not run its container.

use holm_protocol::causes::with_causes;
use holm_protocol::vm_exit::VmExitKind;

use crate::bundle::BundleError;
use crate::checkpoint::CheckpointError;
use crate::container::ContainerError;
use crate::file_error::FileError;
use crate::host::{DirectoriesError, InstallationError};
use crate::image::ImageError;
use crate::logs::LogError;
use crate::network::NetworkError;
use crate::sandbox::{AgentError, BootError, ControlError, HostThreadsError, StreamError, VmmEnd};
use crate::storage::WritableLayerError;
use crate::volume::VolumeError;

/// A failure on the way to a running workload, or of the VM under it.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// The container's own files.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// One of them.
    #[error(transparent)]
    File(#[from] FileError),
    /// A directory.
    #[error(transparent)]
    Directory(#[from] DirectoriesError),
    /// Holm's own files.
    #[error(transparent)]
    Installation(#[from] InstallationError),
    /// The image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Image and settings do not fit.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The writable layer.
    #[error(transparent)]
    Layer(#[from] WritableLayerError),
    /// A checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// What cannot be saved.
    #[error("cannot checkpoint container {container}: {reason}")]
    NotSavable {
        /// Its short id.
        container: String,
        /// What is in the way.
        reason: &'static str,
    },
    /// Where it would go on cannot be told.
    #[error("cannot tell on what a checkpoint depends")]
    Platform(#[source] std::io::Error),
    /// What of the host it is to see.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// The network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The host's processors.
    #[error(transparent)]
    HostThreads(#[from] HostThreadsError),
    /// What answers questions about names cannot be made.
    #[error("cannot answer the container's questions about names")]
    Names(#[source] std::io::Error),
    /// The log could not be opened.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The VM did not start.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The VM started and ended early.
    #[error("{}{}", if .0.kind == VmExitKind::KvmUnusable { "" } else { "the VM ended: " }, .0.reason)]
    VmEnded(VmmEnd),
    /// The agent did not come up.
    #[error("the guest did not answer within {0} s")]
    BootTimeout(u64),
    /// The agent refused, or was lost.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The running VMM did not do something.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A stream could not be attached.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// Every client left before the workload was started.
    #[error("nobody asked for the container to start")]
    Abandoned,
}

impl SupervisorError {
    /// Exit code for the command line, as Docker's.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Agent(error) => error.exit_code(),
            _ => 125,
        }
    }

    /// The message with its causes, on one line.
    #[must_use]
    pub fn message(&self) -> String {
        with_causes(self)
    }
}
