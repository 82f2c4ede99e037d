//! Images: from an archive to a read-only disk.
//!
//! An image is a stack of layers plus a config (OCI image-spec 1.1). Each layer is a compressed tar; it is read once,
//! hashed twice (compressed and uncompressed: the diffID), and becomes a [`layer`] of two files: the files' contents
//! in 4 KiB blocks, and a tree of names and inodes that points into them. Nothing of a layer is ever unpacked on the
//! host's file system, so no path in a tar can touch the host. Per stack of layers, one small EROFS image describes
//! the merged tree and points into the layers' blocks ([`Image::rootfs`]); the VMM lays them end to end as one disk.
//!
//! What the store looks like on disk is in [`store`]; who may change what, and when, in its section on locking.
//!
//! Threads: converting a layer uses three (decompress, hash, parse and write); everything else is the caller's.
//! Trust: archives are hostile; files of the store are our own, and are checked for damage only.
#![forbid(unsafe_code)]

mod commit;
mod compose;
mod config;
mod digest;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod handle;
mod hashed;
mod history;
mod import;
mod layer;
mod load;
pub(crate) mod media_type;
mod merge;
mod platform;
mod reference;
mod remote;
mod rootfs;
mod save;
mod store;

#[cfg(test)]
mod tests;

pub use commit::CommitOptions;
pub use digest::Digest;
pub use error::ImageError;
pub use handle::{Image, RootfsDisk};
pub use history::HistoryStep;
pub use import::{ChangeError, ConfigChange, ImportOptions};
pub use layer::{LayerError, LayerLimits};
pub use load::{Archive, LoadedImage, Progress};
pub use merge::MergeError;
pub use platform::{Platform, UnsupportedPlatform};
pub use reference::{InvalidReference, Reference};
pub use remote::{Pulled, PushProgress, PushReport, Pushed};
pub use save::Selection;
pub use store::{ImageStore, Removal};
