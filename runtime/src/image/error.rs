//! Why an image is refused or not found.

use std::io;
use std::path::{Path, PathBuf};

use super::Digest;
use super::layer::LayerError;
use super::merge::MergeError;
use super::reference::InvalidReference;
use crate::registry::RegistryError;

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
    /// A name for a new image that pins a digest.
    #[error("{0} names a digest; a new name must be a tag")]
    NotATag(String),
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
    #[error("{blob} has digest {actual}, not {expected}: it is damaged or was tampered with")]
    DigestMismatch {
        /// Which blob, as the archive names it.
        blob: String,
        /// What it must be.
        expected: Digest,
        /// What it is.
        actual: Digest,
    },
    /// A blob that the manifest names is not there.
    #[error("{0} is missing in the archive")]
    MissingBlob(String),
    /// A manifest or config that is larger than any real one.
    #[error("{blob} has {bytes} bytes; at most {max} are allowed")]
    TooLarge {
        /// Which blob.
        blob: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// A manifest or config that is not valid.
    #[error("{blob} is not valid")]
    Invalid {
        /// Which blob.
        blob: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A manifest or config that contradicts itself or the other.
    #[error("{blob} is not valid: {reason}")]
    Inconsistent {
        /// Which blob.
        blob: String,
        /// Why.
        reason: String,
    },
    /// Neither form of archive.
    #[error("{0} is not an image archive: it has neither manifest.json (docker save) nor index.json (OCI)")]
    NotAnArchive(String),
    /// The archive itself cannot be read.
    #[error("cannot read an image from {archive}")]
    Archive {
        /// Its name.
        archive: String,
        /// Why.
        #[source]
        source: LayerError,
    },
    /// A layer cannot be used.
    #[error("layer {blob} cannot be used")]
    Layer {
        /// Which.
        blob: String,
        /// Why.
        #[source]
        source: LayerError,
    },
    /// The layers do not fit together.
    #[error("the layers of image {image} cannot be merged")]
    Merge {
        /// The image.
        image: String,
        /// Why.
        #[source]
        source: MergeError,
    },
    /// A file of the store is damaged or missing.
    #[error("{path} in the image store is damaged ({reason}); remove the image and load it again")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A `--change` that cannot be applied.
    #[error(transparent)]
    Change(#[from] super::import::ChangeError),
    /// A registry could not be used.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The store's file system is full.
    #[error("no space left in the image store {0}")]
    NoSpace(PathBuf),
    /// An operation on a file failed.
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

impl ImageError {
    /// For `map_err` on a file operation.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace(path),
            _ => Self::Io { action, path, source },
        }
    }
}
