//! Writes EROFS (Linux's Enhanced Read-Only File System), metadata only: the files' data lie wherever the caller put
//! them on the same disk, and the image points there by block address. So a tree of any size costs a small image, and
//! many images can share data without copying it.
//!
//! ```
//! use holm_erofs::{Extent, Inode, Kind, Layout, Metadata, Placement, Tree};
//!
//! let metadata = |permissions| Metadata { permissions, ..Metadata::default() };
//! let mut tree = Tree::new(metadata(0o755), vec![])?;
//! // Ten bytes, in the first block of what follows the image on the disk.
//! let extents = vec![Extent { file_block: 0, data_block: 0, blocks: 1 }];
//! let file = tree.add(Inode {
//!     metadata: metadata(0o644),
//!     xattrs: vec![].into(),
//!     kind: Kind::Regular { size_bytes: 10, extents: extents.into() },
//! })?;
//! tree.link(Tree::ROOT, b"hello", file)?;
//! tree.link(Tree::ROOT, b"hello again", file)?; // a hard link
//!
//! let layout = Layout::plan(tree)?;
//! let mut disk = Vec::new();
//! layout.write(&mut disk, Placement { data_start_block: layout.blocks(), ..Placement::default() })?;
//! assert_eq!(disk.len() as u64, u64::from(layout.blocks()) * u64::from(holm_erofs::BLOCK_BYTES));
//! disk.extend(b"0123456789"); // padded to a block, this is mountable
//! # Ok::<(), holm_erofs::Error>(())
//! ```
//!
//! Source: Linux 6.12, `fs/erofs/erofs_fs.h` and `Documentation/filesystems/erofs.rst`; images mount from Linux 5.15 on
//! (chunk-based files) and pass `fsck.erofs` 1.5.
//!
//! What is used of the format: blocks of 4 KiB; extended inodes only (32-bit ids, nanosecond times); directories and
//! symlinks with their tail inline; regular files flat, or chunked when they have holes or several extents; extended
//! attributes inline, or shared when two inodes have the same one; superblock checksum. Not used: compression, several
//! devices, fragments.
//!
//! The same tree gives the same bytes. Nothing recurses; beside the tree the writer keeps 20 bytes per inode. The
//! crate does no I/O but [`std::io::Write`], starts no threads, and trusts nothing in the tree: what the format cannot
//! hold is an [`Error`].
#![forbid(unsafe_code)]

mod chunk;
mod crc32c;
mod directory;
mod error;
mod format;
mod inode;
mod layout;
mod tree;
mod write;
mod xattr;

pub use error::Error;
pub use format::BLOCK_BYTES;
pub use inode::{Extent, Inode, Kind, Metadata, Xattr};
pub use layout::Layout;
pub use tree::{InodeId, Tree};
pub use write::Placement;
