//! The numbers of inodes that the guest sees, and what it may do with what they stand for.
//!
//! ```text
//!   number of an inode:  1                        the root, which holds 0, 1, ...
//!                        (share + 1) << 44 | 1    a share's directory
//!                        (share + 1) << 44 | 2    the one file of a share with an `only` name
//!                        (share + 1) << 44 | n    another inode of a share
//!
//! Numbers of shares and of inodes are not used again: there is room for a million of the ones and 17 million million of the others.
//! ```

use std::ffi::CStr;
use std::io;
use std::sync::Arc;

use fuse_backend_rs::api::filesystem::ROOT_ID;

use super::Shares;
use crate::devices::virtio::fs::ledger::{Node, OpenFile};
use crate::devices::virtio::fs::names::{self, errno};
use crate::devices::virtio::fs::share::{ONLY_FILE, Share};

const SHARE_SHIFT: u32 = 44;
const INODE_MASK: u64 = (1 << SHARE_SHIFT) - 1;
/// The last number of a share.
pub(in crate::devices::virtio::fs) const MAX_SHARE_NUMBER: usize = (1 << (u64::BITS - SHARE_SHIFT)) - 2;

/// A number that the guest gave, taken apart.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Root,
    In(usize, u64),
}

pub(super) fn node_of(share: usize, inode: u64) -> Node {
    // At most MAX_SHARE_NUMBER.
    (share as u64 + 1) << SHARE_SHIFT | inode
}

/// To which share an inode belongs.
pub(in crate::devices::virtio::fs) fn share_of(node: Node) -> u64 {
    node >> SHARE_SHIFT
}

impl Shares {
    pub(super) fn share(&self, index: usize) -> io::Result<Arc<Share>> {
        self.shares().get(&index).cloned().ok_or_else(|| errno(libc::EBADF))
    }

    /// Any of them.
    pub(super) fn first(&self) -> io::Result<Arc<Share>> {
        self.shares().values().next().cloned().ok_or_else(|| errno(libc::EBADF))
    }

    pub(super) fn place(&self, node: Node) -> io::Result<Place> {
        if node == ROOT_ID {
            return Ok(Place::Root);
        }
        let number = usize::try_from(share_of(node)).map_err(|_| errno(libc::EBADF))?;
        let index = number.checked_sub(1).filter(|index| self.shares().contains_key(index));
        let (index, inode) = (index.ok_or_else(|| errno(libc::EBADF))?, node & INODE_MASK);
        if inode == ROOT_ID || inode == ONLY_FILE || self.ledger().knows(node) {
            Ok(Place::In(index, inode))
        } else {
            Err(errno(libc::EBADF))
        }
    }

    /// Something in a share.
    pub(super) fn inside(&self, node: Node) -> io::Result<(usize, Arc<Share>, u64)> {
        match self.place(node)? {
            Place::Root => Err(errno(libc::EACCES)),
            Place::In(index, inode) => Ok((index, self.share(index)?, inode)),
        }
    }

    /// Something in a share that is not read-only.
    pub(super) fn changeable(&self, node: Node) -> io::Result<(usize, Arc<Share>, u64)> {
        let found = match self.place(node)? {
            Place::Root => return Err(errno(libc::EROFS)),
            Place::In(index, inode) => (index, self.share(index)?, inode),
        };
        if found.1.read_only { Err(errno(libc::EROFS)) } else { Ok(found) }
    }

    /// Something that may be changed itself: not the directory around a single file, which nobody was given.
    pub(super) fn writable(&self, node: Node) -> io::Result<(usize, Arc<Share>, u64)> {
        let found = self.changeable(node)?;
        if found.1.only.is_some() && found.2 == ROOT_ID { Err(errno(libc::EACCES)) } else { Ok(found) }
    }

    /// A directory in which names may be made and removed.
    pub(super) fn directory(&self, node: Node, name: &CStr) -> io::Result<(usize, Arc<Share>, u64)> {
        names::check(name)?;
        let found = self.changeable(node)?;
        match &found.1.only {
            // As of a file that something is mounted on.
            Some(only) if only.as_c_str() == name => Err(errno(libc::EBUSY)),
            Some(_) => Err(errno(libc::EACCES)),
            None => Ok(found),
        }
    }

    /// A file that the guest has open, by both numbers that it has of it.
    pub(super) fn file(&self, node: Node, handle: u64) -> io::Result<(Arc<Share>, OpenFile)> {
        let (index, share, inode) = self.inside(node)?;
        match self.ledger().file(index, handle) {
            Some(file) if file.inode == inode || inode == ONLY_FILE => Ok((share, file)),
            _ => Err(errno(libc::EBADF)),
        }
    }

    pub(super) fn opened(&self, node: Node, handle: u64) -> io::Result<(Arc<Share>, u64)> {
        self.file(node, handle).map(|(share, file)| (share, file.inode))
    }

    /// Whether a directory is one of those in which nothing is listed: the root, and that of a single file.
    pub(super) fn is_unlisted(&self, node: Node) -> io::Result<bool> {
        Ok(match self.place(node)? {
            Place::Root => true,
            Place::In(index, _) => self.share(index)?.only.is_some(),
        })
    }
}
