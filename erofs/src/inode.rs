//! What an inode is made of, and which inodes the format can hold.

use crate::error::Error;
use crate::format::{BLOCK_BYTES, NULL_BLOCK};
use crate::xattr;

/// Longest symlink target in bytes (Linux's `PATH_MAX` without the NUL).
const MAX_SYMLINK_BYTES: usize = 4095;
const MAX_MAJOR: u32 = 0xfff;
const MAX_MINOR: u32 = 0xf_ffff;

/// One file of any kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inode {
    /// Owner, permissions and time.
    pub metadata: Metadata,
    /// Extended attributes; no name twice.
    pub xattrs: Box<[Xattr]>,
    /// What it is.
    pub kind: Kind,
}

/// Owner, permissions and time of an inode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Permission bits with setuid, setgid and sticky: at most 07777.
    pub permissions: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970, negative for before.
    pub mtime_seconds: i64,
    /// Nanoseconds within the second.
    pub mtime_nanoseconds: u32,
}

/// An extended attribute.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Xattr {
    /// With its namespace: `user.`, `trusted.`, `security.`, or `system.posix_acl_access` and `_default`.
    pub name: Box<[u8]>,
    /// At most 65,535 bytes.
    pub value: Box<[u8]>,
}

/// What an inode is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory; its entries come by [`crate::Tree::link`].
    Directory,
    /// A regular file.
    Regular {
        /// At most 16 TiB.
        size_bytes: u64,
        /// Where its data are, in order; what no extent covers is a hole.
        extents: Box<[Extent]>,
    },
    /// A symbolic link.
    Symlink {
        /// 1 to 4095 bytes.
        target: Box<[u8]>,
    },
    /// A character device.
    CharDevice {
        /// At most 4095.
        major: u32,
        /// At most 1,048,575.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// At most 4095.
        major: u32,
        /// At most 1,048,575.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// A unix socket's file.
    Socket,
}

/// A run of a file's blocks that lie one after the other in the data area. Addresses count 4 KiB blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First block within the file.
    pub file_block: u32,
    /// First block within the data area (see [`crate::Placement::data_start_block`]).
    pub data_block: u32,
    /// Length.
    pub blocks: u32,
}

impl Inode {
    /// Checks everything that can be checked without the rest of the tree.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.metadata.permissions > 0o7777 {
            return Err(Error::Permissions(self.metadata.permissions));
        }
        if self.metadata.mtime_nanoseconds >= 1_000_000_000 {
            return Err(Error::Nanoseconds(self.metadata.mtime_nanoseconds));
        }
        xattr::check(&self.xattrs)?;
        match &self.kind {
            Kind::Regular { size_bytes, extents } => check_extents(*size_bytes, extents),
            Kind::Symlink { target } => check_target(target),
            Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
                if *major > MAX_MAJOR || *minor > MAX_MINOR {
                    return Err(Error::DeviceNumber { major: *major, minor: *minor });
                }
                Ok(())
            }
            Kind::Directory | Kind::Fifo | Kind::Socket => Ok(()),
        }
    }
}

/// Number of blocks that hold so many bytes; `None` when it does not fit a block address.
pub(crate) fn file_blocks(size_bytes: u64) -> Option<u32> {
    u32::try_from(size_bytes.div_ceil(u64::from(BLOCK_BYTES))).ok().filter(|blocks| *blocks != NULL_BLOCK)
}

fn check_extents(size_bytes: u64, extents: &[Extent]) -> Result<(), Error> {
    let blocks = u64::from(file_blocks(size_bytes).ok_or(Error::FileSize(size_bytes))?);
    let mut next = 0;
    for extent in extents {
        let end = u64::from(extent.file_block) + u64::from(extent.blocks);
        if u64::from(extent.file_block) < next || extent.blocks == 0 || end > blocks {
            return Err(Error::Extent(extent.file_block));
        }
        next = end;
    }
    Ok(())
}

fn check_target(target: &[u8]) -> Result<(), Error> {
    if target.is_empty() || target.len() > MAX_SYMLINK_BYTES || target.contains(&0) {
        return Err(Error::SymlinkTarget(target.len()));
    }
    Ok(())
}
