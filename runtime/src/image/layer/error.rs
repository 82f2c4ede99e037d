//! Why a layer is refused.

use std::io;

use crate::image::Digest;
use holm_archive::TarError;

/// What is wrong with a layer. Paths are given as the archive writes them, with what is not UTF-8 replaced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// The tar is malformed, or the stream under it.
    #[error("{0}")]
    Tar(String, #[source] Option<io::Error>),
    /// Compressed in a way that image-spec does not know.
    #[error("it is compressed with {0}; images use gzip, zstd or no compression")]
    Compression(&'static str),
    /// Other content than was announced.
    #[error("it has digest {actual}, not {expected}")]
    Digest {
        /// As announced.
        expected: Digest,
        /// Of what came.
        actual: Digest,
    },
    /// A path leads out of the image.
    #[error("the path {0:?} leads out of the image")]
    Escapes(String),
    /// A path that no file can have.
    #[error("the path {0:?} is empty, too long, or has a part that is too long")]
    Path(String),
    /// A path through something that is not a directory.
    #[error("the path {0:?} leads through something that is not a directory")]
    NotADirectory(String),
    /// Too many symlinks in a path.
    #[error("the path {0:?} has too many levels of symbolic links")]
    SymlinkLoop(String),
    /// A whiteout of nothing, `.` or `..`.
    #[error("{0:?} is not a name for a whiteout")]
    Whiteout(String),
    /// A hard link to something that is not there.
    #[error("{path:?} is a hard link to {target:?}, which is not there")]
    HardLink {
        /// The link.
        path: String,
        /// Its target.
        target: String,
    },
    /// Metadata that Linux does not have: ids beyond 32 bits, unknown devices, malformed ACLs.
    #[error("{path:?} has the {field} {value}, which is out of range")]
    Metadata {
        /// The file.
        path: String,
        /// Which field.
        field: &'static str,
        /// Its value.
        value: String,
    },
    /// A bound of [`super::LayerLimits`] is exceeded.
    #[error("it has more than {limit} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
    },
    /// The store's file system is (nearly) full.
    #[error("no space left in the image store")]
    NoSpace,
    /// The store cannot be written or read.
    #[error("cannot {0} the image store")]
    Store(&'static str, #[source] io::Error),
    /// The files cannot be described to the guest.
    #[error("its files do not fit a file system image")]
    Erofs(#[source] holm_erofs::Error),
    /// A file of the store is damaged.
    #[error("the stored layer is damaged: {0}")]
    Damaged(&'static str),
}

impl From<TarError> for LayerError {
    fn from(error: TarError) -> Self {
        match error {
            TarError::Io(source) => Self::Tar("cannot read or decompress it".to_owned(), Some(source)),
            other => Self::Tar(other.to_string(), None),
        }
    }
}

impl LayerError {
    /// For a write to the store.
    pub(crate) fn write(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            _ => Self::Store("write to", error),
        }
    }
}

/// Bytes of a path for a message.
pub(super) fn lossy(path: &[u8]) -> String {
    const MAX_CHARS: usize = 200;
    let text = String::from_utf8_lossy(path);
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.into_owned(),
    }
}
