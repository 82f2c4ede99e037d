//! A streaming tar reader with bounds, for hostile archives.
//!
//! Formats: v7, ustar, star, PAX (POSIX.1-2008 pax, "pax Interchange Format") and GNU, with GNU long names, base-256
//! numbers, and sparse files in the old GNU form and PAX forms 0.0, 0.1 and 1.0. Where archives are ambiguous it reads
//! them as Go's `archive/tar` does, since that is what Docker and containerd unpack with.
//!
//! Why not the `tar` crate: it reads extension records of any size into memory, and knows neither PAX sparse files nor
//! times before 1970. Here extension records are at most [`MAX_EXTENSION_BYTES`], sparse maps at most
//! [`sparse::MAX_RUNS`], and contents pass through in the source's own buffers.
//!
//! Threads: none. Trust: the archive is hostile; nothing in it can cause more than an error.

mod entry;
mod error;
mod header;
mod pax;
mod reader;
mod source;
mod sparse;

pub use entry::{Entry, Kind, Piece, Time};
pub use error::TarError;
pub use reader::TarReader;
pub use source::{SeekSource, Source};

/// Longest GNU long name or PAX header, in bytes: Go's limit.
const MAX_EXTENSION_BYTES: u64 = 1 << 20;
/// Size of a header and unit of padding.
const BLOCK_BYTES: usize = 512;
