//! Why an OCI verb could not do what it was asked.

use std::io;
use std::path::PathBuf;

use holm_protocol::causes::with_causes;

use crate::host::{DirectoriesError, InstallationError};
use crate::network::NetworkError;
use crate::sandbox::{AgentError, BootError, LateDiskError, LateShareError, StreamError};
use crate::storage::WritableLayerError;
use crate::volume::VolumeError;

/// A failure, with words that engines look for: they are runc's where it has some.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// None of this id.
    #[error("container does not exist")]
    NotFound,
    /// The id is taken.
    #[error("container with given ID already exists")]
    Exists,
    /// No name for a directory.
    #[error("invalid container ID format: {0}")]
    InvalidId(String),
    /// It runs no process that could be asked.
    #[error("container not running")]
    NotRunning,
    /// Not in a state in which this makes sense.
    #[error("cannot {verb} a container that is {status}")]
    State {
        /// What was asked.
        verb: &'static str,
        /// What it is.
        status: super::Status,
    },
    /// It runs.
    #[error("cannot delete container {id} that is not stopped: {status}")]
    NotStopped {
        /// Which.
        id: String,
        /// What it is.
        status: super::Status,
    },
    /// A VMM that was killed is still there.
    #[error("the container's VM does not end, though it was killed; delete it later")]
    VmStays,
    /// A VM cannot give what the bundle asks for.
    #[error("a container in a VM cannot have {0}")]
    Impossible(String),
    /// The bundle is not as the spec says.
    #[error("{0}")]
    Bundle(String),
    /// Something on disk cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something on disk cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A document is none.
    #[error("{} is no valid document", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A directory.
    #[error(transparent)]
    Directory(#[from] DirectoriesError),
    /// Holm's own files.
    #[error(transparent)]
    Installation(#[from] InstallationError),
    /// What of the host it is to see.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// Its interfaces.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The VM did not start.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The VM ended early; its last words.
    #[error("the VM ended: {0}")]
    VmEnded(String),
    /// The guest's agent did not call.
    #[error("the guest did not answer within {0} s")]
    BootTimeout(u64),
    /// The agent refused, or was lost.
    #[error("{}", for_engines(.0))]
    Agent(AgentError),
    /// A stream could not be attached.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// A VM that runs cannot be given what a further container needs.
    #[error(transparent)]
    LateShare(#[from] LateShareError),
    /// As above.
    #[error(transparent)]
    LateDisk(#[from] LateDiskError),
    /// Its writable layer.
    #[error(transparent)]
    Layer(#[from] WritableLayerError),
    /// A hook failed.
    #[error("error running {kind} hook {}: {reason}", path.display())]
    Hook {
        /// `createRuntime` and so on.
        kind: &'static str,
        /// The program.
        path: PathBuf,
        /// How it ended.
        reason: String,
    },
    /// A system call of the container's process on the host.
    #[error("{action}")]
    System {
        /// What was done.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The supervisor said so.
    #[error("{0}")]
    Refused(String),
    /// It went away without a last word.
    #[error("the container's supervisor died")]
    Died,
}

/// The agent's words with those that engines look for to tell with 126 that a program cannot be executed.
fn for_engines(error: &AgentError) -> String {
    const REFUSED: &str = "permission denied";
    match error {
        AgentError::NotExecutable(message) if !message.contains(REFUSED) => format!("{message}: {REFUSED}"),
        other => other.to_string(),
    }
}

impl From<AgentError> for OciError {
    fn from(error: AgentError) -> Self {
        Self::Agent(error)
    }
}

impl OciError {
    /// For a failed system call.
    pub(super) fn system<E: Into<io::Error>>(action: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::System { action, source: source.into() }
    }

    /// The message with its causes, on one line.
    #[must_use]
    pub fn message(&self) -> String {
        with_causes(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_find_the_words_that_mean_126() {
        let message = |error| OciError::from(error).message();
        let directory = AgentError::NotExecutable("exec: \"/etc\": is a directory".to_owned());
        assert_eq!(message(directory), "exec: \"/etc\": is a directory: permission denied");
        let refused = AgentError::NotExecutable("exec: \"/x\": permission denied".to_owned());
        assert_eq!(message(refused), "exec: \"/x\": permission denied");
        assert_eq!(message(AgentError::Failed("no".to_owned())), "no");
    }
}
