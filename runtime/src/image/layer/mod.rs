//! Layers: a compressed tar in, three files out.
//!
//! ```text
//!              +--------------+  chunks   +--------------+
//! source ----> | decompress   | --------> | hash: diffID |
//!              | hash: digest | --------> | parse, place | --> tree   (names, inodes: in memory, then one file)
//!              +--------------+           +--------------+ --> data   (contents, 4 KiB blocks, streamed)
//! ```
//!
//! - `data`: the contents of all regular files, each from a 4 KiB boundary; aligned 64 KiB windows of zeroes are left
//!   out and become holes.
//! - `tree`: a [`tree::LayerTree`], see [`file`] for its form.
//! - `recipe`: what of the tar is in neither, to make it again; see [`recipe`].
//!
//! Source: OCI image-spec layer.md; where that is silent, what Docker and containerd do when they unpack.

pub(super) mod blob;
mod compression;
mod convert;
mod error;
pub(super) mod file;
mod limits;
mod pipeline;
mod place;
mod recipe;
mod spool;
pub(super) mod tree;
mod xattr;

pub(super) use compression::{Compression, MAGIC_BYTES};
pub(super) use convert::{Converted, convert};
pub use error::LayerError;
pub use limits::LayerLimits;
pub(super) use recipe::{rebuild, tar_bytes};
pub(super) use spool::spool;
