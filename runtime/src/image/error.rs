//! Why an image is refused or not found.

use std::io;
use std::path::PathBuf;

use super::Digest;
use super::reference::InvalidReference;

/// Every way in which an operation on images fails; one line each, naming the blob or file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// No image of that name or ID.
    #[error("no such image: {0}")]
    NotFound(String),
    /// More than one image's ID starts so.
    #[error("image ID {0} is ambiguous")]
    Ambiguous(String),
    /// A malformed name.
    #[error(transparent)]
    Reference(#[from] InvalidReference),
    /// Removal without force of an image in use.
    #[error("image {image} is in use by container {container}; stop and remove it, or use --force")]
    InUse {
        /// As it was named.
        image: String,
        /// One of the containers.
        container: String,
    },
    /// Removal by ID without force of an image with several names.
    #[error("image {id} has several names ({names}); remove them one by one, or use --force")]
    SeveralNames {
        /// The short ID.
        id: String,
        /// Comma-separated.
        names: String,
    },
    /// Another machine's image.
    #[error("{image} is for {found}; this host runs {host}")]
    Platform {
        /// Name or blob.
        image: String,
        /// `os/architecture`, several with commas.
        found: String,
        /// Ours.
        host: &'static str,
    },
    /// Content that is not what its digest says.
    #[error(
        "{blob}: its content has digest {actual}, not {expected}; the archive is damaged or was tampered with"
    )]
    DigestMismatch {
        /// Which blob, as the archive names it.
        blob: String,
        /// What it must be.
        expected: Digest,
        /// What it is.
        actual: Digest,
    },
    /// An operation on a file or the archive failed.
    #[error("cannot {action} {path}")]
    Io {
        /// A verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}
