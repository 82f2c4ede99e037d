//! All shares of a VM, and what the guest was told of and has open in them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fuse_backend_rs::abi::fuse_abi::stat64;
use fuse_backend_rs::api::filesystem::{Context, Entry, ROOT_ID, SetattrValid};
use rustix::fs::inotify::WatchFlags;

use super::files::Created;
use super::ledger::{Ledger, Limits, Node, OpenFile};
use super::names::errno;
use super::owners::Owners;
use super::roots::Table;
use super::share::{ONLY_FILE, Share};
use super::user::User;
use super::watches::{OF_CONTENT, Watches};
use place::node_of;

mod caused;
mod place;
mod requests;

pub(super) use place::{MAX_SHARE_NUMBER, share_of};

/// All shares of a VM.
pub(super) struct Shares {
    shares: Mutex<BTreeMap<usize, Arc<Share>>>,
    owners: Owners,
    ledger: Mutex<Ledger>,
    /// A lock may have been given back since this was last looked at.
    released: AtomicBool,
    watches: Arc<Mutex<Watches>>,
}

impl Shares {
    /// Begins to serve. The caller is the thread that serves.
    pub(super) fn new(
        roots: &Table,
        limits: Limits,
        owners: Owners,
        watches: Arc<Mutex<Watches>>,
    ) -> io::Result<Self> {
        let (ledger, released) = (Mutex::new(Ledger::new(limits)), AtomicBool::new(false));
        let new = Self { shares: Mutex::default(), owners, ledger, released, watches };
        new.watches().clear(false);
        new.follow(roots)?;
        Ok(new)
    }

    /// Serves these from now on: nothing is open any more of those that are gone.
    pub(super) fn follow(&self, roots: &Table) -> io::Result<()> {
        let mut shares = self.shares();
        let gone: Vec<usize> = shares.keys().copied().filter(|number| !roots.contains_key(number)).collect();
        for number in gone {
            shares.remove(&number);
            self.ledger().forget_share(number, |node| share_of(node) == number as u64 + 1);
            self.watches().remove_share(number as u64 + 1);
        }
        for (number, root) in roots {
            if !shares.contains_key(number) {
                shares.insert(*number, Arc::new(Share::new(root)?));
            }
        }
        Ok(())
    }

    fn shares(&self) -> MutexGuard<'_, BTreeMap<usize, Arc<Share>>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watches(&self) -> MutexGuard<'_, Watches> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A handle, if one more may be open.
    fn admit<T>(&self, open: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if self.ledger().has_room() { open() } else { Err(errno(libc::ENFILE)) }
    }

    fn close(&self, node: Node, handle: u64) -> io::Result<()> {
        let (index, share, inode) = self.inside(node)?;
        let (_, open) = self.opened(node, handle)?;
        self.causes_to(node, &share, (open, Some(handle)), WatchFlags::CLOSE_WRITE);
        self.ledger().closed(index, handle);
        share.files.close(handle);
        self.released.store(true, Ordering::Relaxed);
        if inode == ONLY_FILE {
            share.let_go(open);
        }
        Ok(())
    }

    /// The guest is told of an inode of a share.
    fn tell(&self, index: usize, mut entry: Entry) -> io::Result<Entry> {
        self.owners.show(&self.share(index)?.files, entry.inode, &mut entry.attr);
        let node = node_of(index, entry.inode);
        // A share's directory can be met again below itself only where the host mounts it there.
        if entry.inode != ROOT_ID && !self.ledger().tell(node) {
            self.share(index)?.let_go(entry.inode);
            return Err(errno(libc::ENFILE));
        }
        Ok(Entry { inode: node, ..entry })
    }

    /// The guest is told of an inode of a share that it has just made.
    fn tell_made(&self, index: usize, entry: Entry, user: User) -> io::Result<Entry> {
        self.owners.made(&self.share(index)?.files, entry.inode, &entry.attr, user);
        self.tell(index, entry)
    }

    /// An inode's status as the guest is told.
    fn status(&self, share: &Share, inode: u64, handle: Option<u64>) -> io::Result<stat64> {
        let mut status = share.files.status(inode, handle)?;
        self.owners.show(&share.files, inode, &mut status);
        Ok(status)
    }

    /// The guest is told of an inode that it has just made, and has open from the beginning.
    fn tell_open(&self, index: usize, made: Created, user: User) -> io::Result<(Entry, u64)> {
        let (inode, handle) = (made.entry.inode, made.handle);
        let told = self.tell_made(index, made.entry, user);
        match told {
            Ok(_) => self.ledger().opened(index, handle, OpenFile { inode }),
            Err(_) => self.share(index)?.files.close(handle),
        }
        Ok((told?, handle))
    }

    /// Whose a request is, and as whom its files are made.
    fn users(&self, context: &Context) -> (User, User) {
        let user = User { uid: context.uid, gid: context.gid };
        (user, self.owners.maker(user))
    }

    /// Whether a lock may have been given back since this was last asked.
    pub(super) fn has_released(&self) -> bool {
        self.released.swap(false, Ordering::Relaxed)
    }

    /// Does something with the file by which an owner has its locks.
    fn owned<T>(
        &self,
        node: Node,
        handle: u64,
        owner: u64,
        act: impl FnOnce(&File) -> io::Result<T>,
    ) -> io::Result<T> {
        let (index, share, _) = self.inside(node)?;
        let (_, inode) = self.opened(node, handle)?;
        // An exclusive lock takes a file that is open for writing; some can only be opened for reading.
        let both = |flags: i32| share.files.open_file(inode, flags.cast_unsigned());
        let open = || {
            let file = if share.read_only { both(libc::O_RDONLY) } else { both(libc::O_RDWR) };
            Ok(file.or_else(|_| both(libc::O_RDONLY))?.into())
        };
        let file = self.ledger().owner((index, inode, owner), open)?;
        act(&file)
    }

    fn told(&self, inode: Node, attr: stat64) -> Entry {
        let timeout = Duration::ZERO;
        Entry { inode, generation: 0, attr, attr_flags: 0, attr_timeout: timeout, entry_timeout: timeout }
    }

    /// The root's status: a directory that everybody may pass.
    fn root_status(&self) -> io::Result<stat64> {
        let mut status = self.first()?.files.status(ROOT_ID, None)?;
        status.st_mode = libc::S_IFDIR | 0o711;
        (status.st_ino, status.st_uid, status.st_gid, status.st_nlink) = (ROOT_ID, 0, 0, 2);
        Ok(status)
    }

    fn change(
        &self,
        (node, share): (Node, &Share),
        inode: u64,
        handle: Option<u64>,
        to: &stat64,
        valid: SetattrValid,
    ) -> io::Result<(stat64, Duration)> {
        self.causes_to(node, share, (inode, handle), OF_CONTENT);
        let rest = self.owners.change(&share.files, inode, to, valid)?;
        let mut status = share.files.change(inode, handle, to, rest)?;
        self.owners.show(&share.files, inode, &mut status);
        Ok((status, Duration::ZERO))
    }
}
