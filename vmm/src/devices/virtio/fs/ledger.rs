//! What the guest holds on to, counted and bounded: each inode that it was told of, each file that it opened and each owner of
//! locks of a file costs this process a descriptor.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::Arc;

use super::names::errno;

/// An inode as the guest numbers them.
pub(super) type Node = u64;

/// An open file: the share's number, and the handle there.
type Open = (usize, u64);

/// An owner of locks: the share's number, the inode there, and the guest's name of the owner.
type Owner = (usize, u64, u64);

/// What an open file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenFile {
    /// Which inode of its share.
    pub(super) inode: u64,
}

/// How much there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) inodes: usize,
    pub(super) handles: usize,
}

/// Descriptors that are left to the rest of the process.
const RESERVE: usize = 256;
/// Enough for any tree that fits a guest's own cache.
const MAX_INODES: usize = 1 << 20;

impl Limits {
    /// Shares `open_files` descriptors out.
    pub(super) fn of(open_files: usize) -> Self {
        let free = open_files.saturating_sub(RESERVE);
        Self { inodes: (free / 4 * 3).min(MAX_INODES), handles: (free / 4).min(MAX_INODES) }
    }
}

/// The account.
#[derive(Debug)]
pub(super) struct Ledger {
    limits: Limits,
    /// How often the guest was told of each inode, and has not forgotten it.
    known: HashMap<Node, u64>,
    open: HashMap<Open, OpenFile>,
    /// The files that owners of locks have them by.
    owners: HashMap<Owner, Arc<File>>,
}

impl Ledger {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, known: HashMap::new(), open: HashMap::new(), owners: HashMap::new() }
    }

    /// The guest is told of an inode; false when that is one too many.
    pub(super) fn tell(&mut self, node: Node) -> bool {
        let is_full = self.known.len() >= self.limits.inodes;
        match self.known.get_mut(&node) {
            Some(count) => *count = count.saturating_add(1),
            None if is_full => return false,
            None => drop(self.known.insert(node, 1)),
        }
        true
    }

    /// The guest forgets an inode `count` times; how many of those it could forget.
    pub(super) fn forget(&mut self, node: Node, count: u64) -> u64 {
        let Some(known) = self.known.get_mut(&node) else { return 0 };
        let forgotten = count.min(*known);
        *known -= forgotten;
        if *known == 0 {
            self.known.remove(&node);
        }
        forgotten
    }

    /// Whether the guest was told of the inode.
    pub(super) fn knows(&self, node: Node) -> bool {
        self.known.contains_key(&node)
    }

    /// Whether one more file can be open.
    pub(super) fn has_room(&self) -> bool {
        self.open.len() + self.owners.len() < self.limits.handles
    }

    pub(super) fn opened(&mut self, share: usize, handle: u64, file: OpenFile) {
        self.open.insert((share, handle), file);
    }

    /// What is open there.
    pub(super) fn file(&self, share: usize, handle: u64) -> Option<OpenFile> {
        self.open.get(&(share, handle)).copied()
    }

    /// The file by which an owner has its locks, opened when it has none.
    ///
    /// # Errors
    /// It cannot be opened; ENOLCK: one too many.
    pub(super) fn owner(
        &mut self,
        owner: Owner,
        open: impl FnOnce() -> io::Result<File>,
    ) -> io::Result<Arc<File>> {
        if let Some(file) = self.owners.get(&owner) {
            return Ok(Arc::clone(file));
        }
        if !self.has_room() {
            return Err(errno(libc::ENOLCK));
        }
        let file = Arc::new(open()?);
        self.owners.insert(owner, Arc::clone(&file));
        Ok(file)
    }

    /// An owner gives all its locks of a file back; whether it had a file for them.
    pub(super) fn disown(&mut self, owner: Owner) -> bool {
        self.owners.remove(&owner).is_some()
    }

    /// A share is gone, with all that the guest has of it; `is_of` tells what belongs to it.
    pub(super) fn forget_share(&mut self, share: usize, is_of: impl Fn(Node) -> bool) {
        self.known.retain(|node, _| !is_of(*node));
        self.open.retain(|(of, _), _| *of != share);
        self.owners.retain(|(of, _, _), _| *of != share);
    }

    pub(super) fn closed(&mut self, share: usize, handle: u64) {
        self.open.remove(&(share, handle));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_forgets_no_more_than_it_was_told() {
        let mut ledger = Ledger::new(Limits { inodes: 2, handles: 1 });
        assert!(ledger.tell(7) && ledger.tell(7) && ledger.tell(8));
        assert!(!ledger.tell(9), "one too many");
        assert_eq!((ledger.forget(7, u64::MAX), ledger.forget(7, 1), ledger.forget(5, 1)), (2, 0, 0));
        assert!(ledger.tell(9) && ledger.knows(9) && !ledger.knows(7));
    }

    #[test]
    fn a_few_descriptors_are_left_to_others() {
        assert_eq!(Limits::of(0), Limits { inodes: 0, handles: 0 });
        let limits = Limits::of(4096);
        assert!(limits.inodes + limits.handles <= 4096 - RESERVE && limits.handles > 900);
    }
}
