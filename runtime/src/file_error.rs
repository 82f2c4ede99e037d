//! Why something could not be done with a file of Holm's own state.

use std::io;
use std::path::{Path, PathBuf};

/// A file that failed.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The host refused.
    #[error("cannot {action} {}", path.display())]
    Refused {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the host said.
        #[source]
        source: io::Error,
    },
    /// It holds something else than it should.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
}

/// What becomes of the host's answer to an attempt to `action` a path.
pub(crate) fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> FileError + Copy {
    move |source| FileError::Refused { action, path: path.to_owned(), source }
}

/// What becomes of a parser's answer about a file.
pub(crate) fn damaged(path: &Path) -> impl Fn(serde_json::Error) -> FileError + Copy {
    move |source| FileError::Damaged { path: path.to_owned(), source }
}
