//! Trees of files to tar archives and back, for both sides: the agent packs and unpacks a container's files, the host's
//! command line the user's.
//!
//! [`TarReader`] reads any archive within bounds; [`TarWriter`] writes PAX (POSIX.1-2008 pax) with sparse files in the form
//! 1.0 of GNU tar. [`Packer`] archives what a descriptor refers to, [`Unpacker`] makes an archive's members below one.
//!
//! Threads: none. Trust: archives and trees are hostile. A tree may change while it is read, so everything is reached by
//! descriptors, one name at a time, and no symbolic link in it is ever followed on the way.
#![forbid(unsafe_code)]

mod node;
mod pack;
mod read;
#[cfg(test)]
mod tests;
mod unpack;
mod walk;
mod write;
mod xattr;

pub use node::{Attributes, Node};
pub use pack::Packer;
pub use read::{Entry, Kind, Piece, SeekSource, Source, TarError, TarReader, Time};
pub use unpack::{Destination, Keep, UnpackError, Unpacker};
pub use walk::{Descend, Found, Walk};
pub use write::TarWriter;
