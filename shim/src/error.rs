//! Why a call failed, with the code by which containerd and its clients tell failures apart.

use std::io;
use std::path::PathBuf;

use holm_protocol::causes::with_causes;
use holm_runtime::oci::{OciError, Status};
use ttrpc::Code;

/// A failure of a call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShimError {
    /// Nothing of this name.
    #[error("{0} not found")]
    NotFound(String),
    /// The name is taken.
    #[error("{0} already exists")]
    Exists(String),
    /// Not in a state in which this makes sense.
    #[error("{0}")]
    State(&'static str),
    /// Nothing that a VM or this shim can do.
    #[error("{0}")]
    Impossible(String),
    /// No such thing.
    #[error("{0}")]
    Invalid(&'static str),
    /// What was sent is not what the call takes.
    #[error("{what} of the request cannot be read")]
    Request {
        /// Which part.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The engine.
    #[error(transparent)]
    Oci(#[from] OciError),
    /// A FIFO.
    #[error("cannot open the stream {}", path.display())]
    Stream {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A logging binary.
    #[error("cannot start the logging binary {}", path.display())]
    Logger {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The root file system.
    #[error("cannot mount {source_path} at {}", target.display())]
    Mount {
        /// What.
        source_path: String,
        /// Where.
        target: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of the cgroup.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ShimError {
    fn code(&self) -> Code {
        match self {
            // Under runc, too, one that has ended is not found.
            Self::NotFound(_) | Self::Oci(OciError::NotFound | OciError::NotRunning) => Code::NOT_FOUND,
            Self::Exists(_) | Self::Oci(OciError::Exists) => Code::ALREADY_EXISTS,
            Self::State(_) | Self::Oci(OciError::State { .. } | OciError::NotStopped { .. }) => {
                Code::FAILED_PRECONDITION
            }
            Self::Impossible(_) | Self::Oci(OciError::Impossible(_)) => Code::UNIMPLEMENTED,
            Self::Invalid(_)
            | Self::Request { .. }
            | Self::Oci(OciError::Bundle(_) | OciError::InvalidId(_)) => Code::INVALID_ARGUMENT,
            _ => Code::UNKNOWN,
        }
    }

    /// A container that is not in a state for this.
    pub(crate) fn state(verb: &'static str, status: Status) -> Self {
        Self::Oci(OciError::State { verb, status })
    }
}

impl From<ShimError> for ttrpc::Error {
    fn from(error: ShimError) -> Self {
        Self::RpcStatus(ttrpc::get_status(error.code(), with_causes(&error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_have_the_codes_that_clients_look_for() {
        let coded = |error: ShimError| match ttrpc::Error::from(error) {
            ttrpc::Error::RpcStatus(status) => (status.code.enum_value().unwrap(), status.message),
            other => panic!("{other}"),
        };
        let gone = coded(OciError::NotRunning.into());
        assert_eq!(gone, (Code::NOT_FOUND, "container not running".to_owned()));
        assert_eq!(coded(ShimError::state("start", Status::Running)).0, Code::FAILED_PRECONDITION);
        assert_eq!(coded(OciError::Impossible("x".to_owned()).into()).0, Code::UNIMPLEMENTED);
        let source = io::Error::from(io::ErrorKind::NotFound);
        let failed = coded(ShimError::Stream { path: "/f".into(), source });
        assert_eq!(failed, (Code::UNKNOWN, "cannot open the stream /f: entity not found".to_owned()));
    }
}
