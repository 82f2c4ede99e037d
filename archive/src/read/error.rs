//! What is wrong with an archive.

use std::io;

/// Why an archive cannot be read on. Positions count bytes of the uncompressed archive.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The stream ends within an entry.
    #[error("the archive is truncated")]
    Truncated,
    /// A header's checksum is wrong: damage, or no tar at all.
    #[error("no tar header at byte {0}")]
    Checksum(u64),
    /// A header field is not a number, or out of range.
    #[error("bad {field} in the tar header at byte {position}")]
    Field {
        /// Which.
        field: &'static str,
        /// Of the header.
        position: u64,
    },
    /// A malformed PAX record.
    #[error("bad PAX record {0:?}")]
    Pax(String),
    /// An extension record is larger than any real one.
    #[error("an extension header of {0} bytes; allowed are {max}", max = super::MAX_EXTENSION_BYTES)]
    ExtensionTooLarge(u64),
    /// A sparse file's map is malformed.
    #[error("bad sparse map of {0:?}")]
    Sparse(String),
    /// An entry of a type that no image layer has.
    #[error("{path:?} has the unknown entry type {kind:?}")]
    UnknownType {
        /// The entry.
        path: String,
        /// The type flag.
        kind: char,
    },
    /// The stream itself failed: decompression, or reading.
    #[error("cannot read the archive")]
    Io(#[source] io::Error),
}

impl From<io::Error> for TarError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            _ => Self::Io(error),
        }
    }
}
