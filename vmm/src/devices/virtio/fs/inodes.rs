//! The inodes of a share that the guest knows: each is a descriptor that only stands for it (O_PATH).

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use fuse_backend_rs::abi::fuse_abi::stat64;
use fuse_backend_rs::api::filesystem::ROOT_ID;

use super::names::errno;
use super::share::ONLY_FILE;
use super::status::{self, Identity};

/// An inode of the host.
#[derive(Debug)]
pub(super) struct Inode {
    /// Opened with O_PATH.
    pub(super) file: OwnedFd,
    /// `S_IFMT` of its mode, which never changes.
    pub(super) kind: u32,
}

#[derive(Debug)]
struct Known {
    inode: Arc<Inode>,
    identity: Identity,
    count: u64,
}

/// Inodes by number. Numbers are not used again.
#[derive(Debug)]
pub(super) struct Inodes {
    by_number: HashMap<u64, Known>,
    by_identity: HashMap<Identity, u64>,
    next: u64,
}

impl Inodes {
    /// With the share's directory, which stays.
    pub(super) fn new(root: OwnedFd) -> io::Result<Self> {
        let mut inodes = Self { by_number: HashMap::new(), by_identity: HashMap::new(), next: ROOT_ID };
        inodes.take(root)?;
        inodes.next = ONLY_FILE + 1;
        Ok(inodes)
    }

    /// What has a number.
    pub(super) fn get(&self, number: u64) -> io::Result<Arc<Inode>> {
        self.by_number.get(&number).map(|known| Arc::clone(&known.inode)).ok_or_else(|| errno(libc::EBADF))
    }

    /// The number of what a descriptor stands for, to be let go once more than before.
    pub(super) fn take(&mut self, file: OwnedFd) -> io::Result<(u64, stat64)> {
        let (status, identity) = status::of(&file)?;
        let number = *self.by_identity.entry(identity).or_insert(self.next);
        if number == self.next {
            self.next += 1;
            let inode = Arc::new(Inode { file, kind: status.st_mode & libc::S_IFMT });
            self.by_number.insert(number, Known { inode, identity, count: 0 });
        }
        if let Some(known) = self.by_number.get_mut(&number) {
            known.count = known.count.saturating_add(1);
        }
        Ok((number, status))
    }

    /// Lets an inode go `count` times.
    pub(super) fn let_go(&mut self, number: u64, count: u64) {
        let Some(known) = self.by_number.get_mut(&number).filter(|_| number != ROOT_ID) else { return };
        known.count = known.count.saturating_sub(count);
        if known.count == 0 {
            self.by_identity.remove(&known.identity);
            self.by_number.remove(&number);
        }
    }
}
