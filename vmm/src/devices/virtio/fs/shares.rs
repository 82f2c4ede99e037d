//! The tree that the guest sees, and every rule about what it may do in it.
//!
//! ```text
//!   number of an inode:  1                        the root, which holds 0, 1, ...
//!                        (share + 1) << 44 | 1    a share's directory
//!                        (share + 1) << 44 | 2    the one file of a share with an `only` name
//!                        (share + 1) << 44 | n    another inode of a share
//!
//! Numbers of shares and of inodes are not used again: there is room for a million of the ones and 17 million million of the others.
//! ```

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fuse_backend_rs::abi::fuse_abi::{CreateIn, FOPEN_IN_KILL_SUIDGID, WRITE_KILL_PRIV, stat64, statvfs64};
use fuse_backend_rs::api::filesystem::{
    Context, DirEntry, Entry, FileLock, FileSystem, FsOptions, GetxattrReply, ListxattrReply, OpenOptions,
    ROOT_ID, SetattrValid, ZeroCopyReader, ZeroCopyWriter,
};
use rustix::fs::AtFlags;
use rustix::fs::inotify::WatchFlags;

use super::files::Created;
use super::ledger::{Ledger, Limits, Node, OpenFile};
use super::locks;
use super::names::{self, errno};
use super::owners::Owners;
use super::roots::Table;
use super::share::{ONLY_FILE, Share};
use super::user::User;
use super::watches::{Caused, OF_CONTENT, OF_INODES, Watches, Whom};

const SHARE_SHIFT: u32 = 44;
const INODE_MASK: u64 = (1 << SHARE_SHIFT) - 1;
/// The last number of a share.
pub(super) const MAX_SHARE_NUMBER: usize = (1 << (u64::BITS - SHARE_SHIFT)) - 2;

/// Flags of open(2) that a guest decides about. Not O_DIRECT, since buffers of guests need not be aligned as the host's disk
/// wants them, and nothing that makes a file or that changes what is opened.
const OPEN_FLAGS: i32 =
    libc::O_ACCMODE | libc::O_APPEND | libc::O_TRUNC | libc::O_SYNC | libc::O_DSYNC | libc::O_NOATIME;

/// Largest value of an extended attribute, and largest list of names (linux/limits.h).
const MAX_ATTRIBUTE_BYTES: u32 = 64 << 10;

/// What requests cause: to a name, and to what has it.
const MADE: (WatchFlags, WatchFlags) = (WatchFlags::CREATE.union(WatchFlags::ATTRIB), WatchFlags::empty());
const OPENED: (WatchFlags, WatchFlags) = (WatchFlags::CREATE.union(OF_CONTENT), OF_CONTENT);
const REMOVED: (WatchFlags, WatchFlags) =
    (WatchFlags::DELETE, WatchFlags::ATTRIB.union(WatchFlags::DELETE_SELF));
const MOVED: (WatchFlags, WatchFlags) =
    (WatchFlags::MOVED_FROM.union(WatchFlags::MOVED_TO), OF_INODES.union(WatchFlags::ATTRIB));

/// All shares of a VM.
pub(super) struct Shares {
    shares: Mutex<BTreeMap<usize, Arc<Share>>>,
    owners: Owners,
    ledger: Mutex<Ledger>,
    /// A lock may have been given back since this was last looked at.
    released: AtomicBool,
    watches: Arc<Mutex<Watches>>,
}

/// A number that the guest gave, taken apart.
#[derive(Clone, Copy)]
enum Place {
    Root,
    In(usize, u64),
}

fn node_of(share: usize, inode: u64) -> Node {
    // At most MAX_SHARE_NUMBER.
    (share as u64 + 1) << SHARE_SHIFT | inode
}

/// To which share an inode belongs.
pub(super) fn share_of(node: Node) -> u64 {
    node >> SHARE_SHIFT
}

fn masked(flags: u32, mask: i32) -> u32 {
    flags & mask.cast_unsigned()
}

fn writes(flags: u32) -> bool {
    masked(flags, libc::O_ACCMODE) != libc::O_RDONLY.cast_unsigned() || masked(flags, libc::O_TRUNC) != 0
}

/// Whether somebody cuts a file off who cannot let it keep the identities that it gives.
fn drops_ids(flags: u32, fuse_flags: u32) -> bool {
    masked(flags, libc::O_TRUNC) != 0 && fuse_flags & FOPEN_IN_KILL_SUIDGID != 0
}

fn attribute_bytes(size: u32) -> usize {
    usize::try_from(size.min(MAX_ATTRIBUTE_BYTES)).unwrap_or(0)
}

fn reply_size(size: usize) -> io::Result<u32> {
    u32::try_from(size).map_err(|_| errno(libc::E2BIG))
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

    fn share(&self, index: usize) -> io::Result<Arc<Share>> {
        self.shares().get(&index).cloned().ok_or_else(|| errno(libc::EBADF))
    }

    /// Any of them.
    fn first(&self) -> io::Result<Arc<Share>> {
        self.shares().values().next().cloned().ok_or_else(|| errno(libc::EBADF))
    }

    fn place(&self, node: Node) -> io::Result<Place> {
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
    fn inside(&self, node: Node) -> io::Result<(usize, Arc<Share>, u64)> {
        match self.place(node)? {
            Place::Root => Err(errno(libc::EACCES)),
            Place::In(index, inode) => Ok((index, self.share(index)?, inode)),
        }
    }

    /// Something in a share that is not read-only.
    fn changeable(&self, node: Node) -> io::Result<(usize, Arc<Share>, u64)> {
        let found = match self.place(node)? {
            Place::Root => return Err(errno(libc::EROFS)),
            Place::In(index, inode) => (index, self.share(index)?, inode),
        };
        if found.1.read_only { Err(errno(libc::EROFS)) } else { Ok(found) }
    }

    /// Something that may be changed itself: not the directory around a single file, which nobody was given.
    fn writable(&self, node: Node) -> io::Result<(usize, Arc<Share>, u64)> {
        let found = self.changeable(node)?;
        if found.1.only.is_some() && found.2 == ROOT_ID { Err(errno(libc::EACCES)) } else { Ok(found) }
    }

    /// A directory in which names may be made and removed.
    fn directory(&self, node: Node, name: &CStr) -> io::Result<(usize, Arc<Share>, u64)> {
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
    fn file(&self, node: Node, handle: u64) -> io::Result<(Arc<Share>, OpenFile)> {
        let (index, share, inode) = self.inside(node)?;
        match self.ledger().file(index, handle) {
            Some(file) if file.inode == inode || inode == ONLY_FILE => Ok((share, file)),
            _ => Err(errno(libc::EBADF)),
        }
    }

    fn opened(&self, node: Node, handle: u64) -> io::Result<(Arc<Share>, u64)> {
        self.file(node, handle).map(|(share, file)| (share, file.inode))
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

    /// A new file that has no name, open.
    pub(super) fn unnamed(&self, context: &Context, parent: u64, args: CreateIn) -> io::Result<(Entry, u64)> {
        let (index, share, inode) = self.writable(parent)?;
        self.admit(|| {
            let (user, maker) = self.users(context);
            let flags = masked(args.flags, OPEN_FLAGS | libc::O_EXCL);
            let made = share.files.unnamed(maker, inode, flags, args.mode & !args.umask)?;
            self.tell_open(index, made, user)
        })
    }

    /// Has the guest told of changes of an inode from now on: of these kinds, and no others. Inode 0: of none, and never again.
    pub(super) fn watch(&self, node: Node, kinds: u32) -> io::Result<()> {
        if node == 0 {
            self.watches().clear(true);
            return Ok(());
        }
        let (_, share, inode) = self.inside(node)?;
        let (inode, only) = match &share.only {
            Some(name) if inode == ONLY_FILE => (ROOT_ID, Some(name.as_c_str())),
            Some(_) => return Err(errno(libc::EACCES)),
            None => (inode, None),
        };
        self.watches().set(node, &share.files.inode(inode)?, only, kinds)
    }

    /// Takes note of what changed on the host.
    pub(super) fn listen(&self) {
        let mut watches = self.watches();
        if !watches.is_empty() {
            watches.read();
        }
    }

    /// What is said to whoever waits for what changed: 0 if something has, EAGAIN if not, ECANCELED if nothing will.
    pub(super) fn news(&self) -> i32 {
        let watches = self.watches();
        match watches.has_changes() {
            true => 0,
            false if watches.is_over() => libc::ECANCELED,
            false => libc::EAGAIN,
        }
    }

    /// What changed, as far as there is room to tell.
    pub(super) fn told_changes(&self, room: usize) -> Vec<u8> {
        self.watches().take(room)
    }

    /// The request that is being served will do such things: nobody else did them.
    fn causes(&self, kinds: WatchFlags, whom: impl FnOnce() -> io::Result<Whom>) {
        let mut watches = self.watches();
        if !watches.is_empty()
            && !kinds.is_empty()
            && let Ok(whom) = whom()
        {
            watches.cause(Caused { whom, kinds });
        }
    }

    /// To an inode, by a file that is open or not.
    fn causes_to(&self, node: Node, share: &Share, (inode, handle): (u64, Option<u64>), kinds: WatchFlags) {
        self.causes(kinds, || Ok(Whom::Inode(share_of(node), share.files.identity(inode, handle)?)));
    }

    /// To a name, and to what has it.
    fn causes_by_name(
        &self,
        (directory, share, inode): (Node, &Share, u64),
        name: &CStr,
        (to_name, to_inode): (WatchFlags, WatchFlags),
    ) {
        self.causes(to_name, || Ok(Whom::Name(directory, name.to_owned())));
        let what = || share.files.identity_of_name(inode, name);
        self.causes(to_inode, || Ok(Whom::Inode(share_of(directory), what()?)));
    }

    /// A request was served.
    pub(super) fn settle(&self) {
        self.watches().settle();
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

    /// Whether a directory is one of those in which nothing is listed: the root, and that of a single file.
    fn is_unlisted(&self, node: Node) -> io::Result<bool> {
        Ok(match self.place(node)? {
            Place::Root => true,
            Place::In(index, _) => self.share(index)?.only.is_some(),
        })
    }
}

impl FileSystem for Shares {
    type Inode = u64;
    type Handle = u64;

    fn init(&self, _: FsOptions) -> io::Result<FsOptions> {
        self.watches().clear(false);
        // The guest's kernel would ask for a file's capabilities at each write, to take them away. The host's does that; a note about an
        // owner it does not know.
        let rights = match self.owners {
            Owners::Real => FsOptions::HANDLE_KILLPRIV_V2,
            Owners::Noted { .. } => FsOptions::empty(),
        };
        // No cache of names or attributes, no writes that wait in the guest, no locks of its own: what one side does, the other sees.
        Ok(FsOptions::ASYNC_READ
            | FsOptions::ATOMIC_O_TRUNC
            | FsOptions::BIG_WRITES
            | FsOptions::AUTO_INVAL_DATA
            | FsOptions::ASYNC_DIO
            | FsOptions::PARALLEL_DIROPS
            | FsOptions::POSIX_LOCKS
            | FsOptions::FLOCK_LOCKS
            | FsOptions::MAX_PAGES
            | rights)
    }

    fn lookup(&self, _: &Context, parent: u64, name: &CStr) -> io::Result<Entry> {
        names::check(name)?;
        match self.place(parent)? {
            Place::Root => {
                let index: usize =
                    name.to_str().ok().and_then(|n| n.parse().ok()).ok_or_else(|| errno(libc::ENOENT))?;
                let share = self.share(index).map_err(|_| errno(libc::ENOENT))?;
                Ok(self.told(node_of(index, ROOT_ID), self.status(&share, ROOT_ID, None)?))
            }
            Place::In(index, inode) => {
                let share = self.share(index)?;
                let Some(only) = &share.only else {
                    return self.tell(index, share.files.lookup(inode, name)?);
                };
                if inode != ROOT_ID || only.as_c_str() != name {
                    return Err(errno(libc::ENOENT));
                }
                let held = share.hold(ONLY_FILE)?;
                Ok(self.told(node_of(index, ONLY_FILE), self.status(&share, held.inode, None)?))
            }
        }
    }

    fn forget(&self, _: &Context, node: u64, count: u64) {
        let Ok(Place::In(index, inode)) = self.place(node) else { return };
        let forgotten = self.ledger().forget(node, count);
        if !self.ledger().knows(node) {
            self.watches().remove(node);
        }
        if let (Ok(share), 1..) = (self.share(index), forgotten) {
            share.files.let_go(inode, forgotten);
        }
    }

    fn getattr(&self, _: &Context, node: u64, handle: Option<u64>) -> io::Result<(stat64, Duration)> {
        if node == ROOT_ID {
            return Ok((self.root_status()?, Duration::ZERO));
        }
        let (_, share, inode) = self.inside(node)?;
        if let Some((share, open)) = handle.and_then(|handle| self.opened(node, handle).ok()) {
            return Ok((self.status(&share, open, handle)?, Duration::ZERO));
        }
        Ok((self.status(&share, share.hold(inode)?.inode, None)?, Duration::ZERO))
    }

    fn setattr(
        &self,
        _: &Context,
        node: u64,
        attr: stat64,
        handle: Option<u64>,
        valid: SetattrValid,
    ) -> io::Result<(stat64, Duration)> {
        let (_, share, inode) = self.writable(node)?;
        match handle {
            Some(handle) => {
                let (share, open) = self.opened(node, handle)?;
                self.change((node, &share), open, Some(handle), &attr, valid)
            }
            None => {
                let held = share.hold(inode)?;
                self.change((node, &share), held.inode, None, &attr, valid)
            }
        }
    }

    fn readlink(&self, _: &Context, node: u64) -> io::Result<Vec<u8>> {
        let (_, share, inode) = self.inside(node)?;
        share.files.target(share.hold(inode)?.inode)
    }

    fn symlink(&self, context: &Context, link: &CStr, parent: u64, name: &CStr) -> io::Result<Entry> {
        let (index, share, inode) = self.directory(parent, name)?;
        self.causes_by_name((parent, &share, inode), name, MADE);
        let (user, maker) = self.users(context);
        self.tell_made(index, share.files.symlink(maker, link, inode, name)?, user)
    }

    fn mknod(
        &self,
        context: &Context,
        parent: u64,
        name: &CStr,
        mode: u32,
        _: u32,
        umask: u32,
    ) -> io::Result<Entry> {
        let (index, share, inode) = self.directory(parent, name)?;
        // A device that a guest makes must not be one on the host.
        if !matches!(mode & libc::S_IFMT, libc::S_IFREG | libc::S_IFIFO | libc::S_IFSOCK) {
            return Err(errno(libc::EPERM));
        }
        self.causes_by_name((parent, &share, inode), name, MADE);
        let (user, maker) = self.users(context);
        self.tell_made(index, share.files.node(maker, inode, name, mode & !umask)?, user)
    }

    fn mkdir(&self, context: &Context, parent: u64, name: &CStr, mode: u32, umask: u32) -> io::Result<Entry> {
        let (index, share, inode) = self.directory(parent, name)?;
        self.causes_by_name((parent, &share, inode), name, MADE);
        let (user, maker) = self.users(context);
        self.tell_made(index, share.files.directory(maker, inode, name, mode & !umask)?, user)
    }

    fn unlink(&self, _: &Context, parent: u64, name: &CStr) -> io::Result<()> {
        let (_, share, inode) = self.directory(parent, name)?;
        self.causes_by_name((parent, &share, inode), name, REMOVED);
        share.files.remove(inode, name, AtFlags::empty())
    }

    fn rmdir(&self, _: &Context, parent: u64, name: &CStr) -> io::Result<()> {
        let (_, share, inode) = self.directory(parent, name)?;
        self.causes_by_name((parent, &share, inode), name, REMOVED);
        share.files.remove(inode, name, AtFlags::REMOVEDIR)
    }

    fn rename(&self, _: &Context, from: u64, old: &CStr, to: u64, new: &CStr, flags: u32) -> io::Result<()> {
        let (index, share, parent) = self.directory(from, old)?;
        let (other, _, new_parent) = self.directory(to, new)?;
        if index != other {
            return Err(errno(libc::EXDEV));
        }
        // A whiteout is a device.
        if flags & libc::RENAME_WHITEOUT != 0 {
            return Err(errno(libc::EINVAL));
        }
        self.causes_by_name((from, &share, parent), old, MOVED);
        self.causes_by_name((to, &share, new_parent), new, MOVED);
        share.files.rename((parent, old), (new_parent, new), flags)
    }

    fn link(&self, _: &Context, node: u64, parent: u64, name: &CStr) -> io::Result<Entry> {
        let (index, share, directory) = self.directory(parent, name)?;
        let (other, _, inode) = self.inside(node)?;
        if index != other {
            return Err(errno(libc::EXDEV));
        }
        self.causes_by_name((parent, &share, directory), name, MADE);
        self.causes_to(node, &share, (inode, None), WatchFlags::ATTRIB);
        self.tell(index, share.files.link(inode, directory, name)?)
    }

    fn open(
        &self,
        _: &Context,
        node: u64,
        flags: u32,
        fuse_flags: u32,
    ) -> io::Result<(Option<u64>, OpenOptions, Option<u32>)> {
        let (index, share, inode) = if writes(flags) { self.writable(node)? } else { self.inside(node)? };
        self.admit(|| {
            let held = share.hold(inode)?;
            let flags = masked(flags, OPEN_FLAGS);
            if masked(flags, libc::O_TRUNC) != 0 {
                self.causes_to(node, &share, (held.inode, None), OF_CONTENT);
            }
            let handle = share.files.open(held.inode, flags, drops_ids(flags, fuse_flags))?;
            self.ledger().opened(index, handle, OpenFile { inode: held.keep() });
            Ok((Some(handle), OpenOptions::empty(), None))
        })
    }

    fn create(
        &self,
        context: &Context,
        parent: u64,
        name: &CStr,
        args: CreateIn,
    ) -> io::Result<(Entry, Option<u64>, OpenOptions, Option<u32>)> {
        let (index, share, inode) = self.directory(parent, name)?;
        self.admit(|| {
            let flags = masked(args.flags, OPEN_FLAGS | libc::O_EXCL);
            let (user, maker) = self.users(context);
            let opening = (flags, drops_ids(flags, args.fuse_flags));
            self.causes_by_name((parent, &share, inode), name, OPENED);
            let made = share.files.create(maker, inode, name, opening, args.mode & !args.umask)?;
            let (entry, handle) = self.tell_open(index, made, user)?;
            Ok((entry, Some(handle), OpenOptions::empty(), None))
        })
    }

    fn read(
        &self,
        _: &Context,
        node: u64,
        handle: u64,
        to: &mut dyn ZeroCopyWriter,
        size: u32,
        offset: u64,
        _: Option<u64>,
        _: u32,
    ) -> io::Result<usize> {
        let (share, _) = self.opened(node, handle)?;
        share.files.read(handle, to, size, offset)
    }

    fn write(
        &self,
        _: &Context,
        node: u64,
        handle: u64,
        from: &mut dyn ZeroCopyReader,
        size: u32,
        offset: u64,
        _: Option<u64>,
        _: bool,
        flags: u32,
        fuse_flags: u32,
    ) -> io::Result<usize> {
        self.writable(node)?;
        let (share, inode) = self.opened(node, handle)?;
        self.causes_to(node, &share, (inode, Some(handle)), OF_CONTENT);
        let how = (masked(flags, libc::O_APPEND) != 0, fuse_flags & WRITE_KILL_PRIV != 0);
        share.files.write(handle, from, size, offset, how)
    }

    fn fsync(&self, _: &Context, node: u64, data_only: bool, handle: u64) -> io::Result<()> {
        let (share, _) = self.opened(node, handle)?;
        share.files.sync(handle, data_only)
    }

    fn fallocate(
        &self,
        _: &Context,
        node: u64,
        handle: u64,
        mode: u32,
        offset: u64,
        length: u64,
    ) -> io::Result<()> {
        self.writable(node)?;
        let (share, inode) = self.opened(node, handle)?;
        self.causes_to(node, &share, (inode, Some(handle)), OF_CONTENT);
        share.files.allocate(handle, mode, offset, length)
    }

    fn flush(&self, _: &Context, node: u64, handle: u64, owner: u64) -> io::Result<()> {
        let (index, _, _) = self.inside(node)?;
        let (share, inode) = self.opened(node, handle)?;
        self.causes_to(node, &share, (inode, Some(handle)), WatchFlags::CLOSE_WRITE);
        if self.ledger().disown((index, inode, owner)) {
            self.released.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn getlk(
        &self,
        _: &Context,
        node: u64,
        handle: u64,
        owner: u64,
        lock: FileLock,
        _: u32,
    ) -> io::Result<FileLock> {
        self.owned(node, handle, owner, |file| locks::get(file, &lock))
    }

    fn setlk(
        &self,
        _: &Context,
        node: u64,
        handle: u64,
        owner: u64,
        lock: FileLock,
        flags: u32,
    ) -> io::Result<()> {
        if flags & locks::FLOCK == 0 {
            self.owned(node, handle, owner, |file| locks::set(file, &lock))?;
        } else {
            self.opened(node, handle)?.0.files.lock(handle, &lock)?;
        }
        self.released.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn release(
        &self,
        _: &Context,
        node: u64,
        _: u32,
        handle: u64,
        _: bool,
        _: bool,
        _: Option<u64>,
    ) -> io::Result<()> {
        self.close(node, handle)
    }

    fn statfs(&self, _: &Context, node: u64) -> io::Result<statvfs64> {
        match self.place(node)? {
            Place::Root => self.first()?.files.file_system(ROOT_ID),
            Place::In(index, inode) => {
                let share = self.share(index)?;
                share.files.file_system(share.hold(inode)?.inode)
            }
        }
    }

    fn setxattr(&self, _: &Context, node: u64, name: &CStr, value: &[u8], flags: u32) -> io::Result<()> {
        names::check_attribute(name)?;
        let (_, share, inode) = self.writable(node)?;
        let held = share.hold(inode)?;
        self.causes_to(node, &share, (held.inode, None), WatchFlags::ATTRIB);
        share.files.set_attribute(held.inode, name, value, flags)
    }

    fn getxattr(&self, _: &Context, node: u64, name: &CStr, size: u32) -> io::Result<GetxattrReply> {
        names::check_attribute(name)?;
        let (_, share, inode) = self.inside(node)?;
        let held = share.hold(inode)?;
        Ok(match attribute_bytes(size) {
            0 => GetxattrReply::Count(reply_size(share.files.attribute_size(held.inode, name)?)?),
            size => GetxattrReply::Value(share.files.attribute(held.inode, name, size)?),
        })
    }

    fn listxattr(&self, _: &Context, node: u64, size: u32) -> io::Result<ListxattrReply> {
        let (_, share, inode) = self.inside(node)?;
        let held = share.hold(inode)?;
        Ok(match attribute_bytes(size) {
            0 => ListxattrReply::Count(reply_size(share.files.attributes_size(held.inode)?)?),
            size => ListxattrReply::Names(names::without_note(&share.files.attributes(held.inode, size)?)),
        })
    }

    fn removexattr(&self, _: &Context, node: u64, name: &CStr) -> io::Result<()> {
        names::check_attribute(name)?;
        let (_, share, inode) = self.writable(node)?;
        let held = share.hold(inode)?;
        self.causes_to(node, &share, (held.inode, None), WatchFlags::ATTRIB);
        share.files.remove_attribute(held.inode, name)
    }

    fn opendir(&self, _: &Context, node: u64, _: u32) -> io::Result<(Option<u64>, OpenOptions)> {
        if self.is_unlisted(node)? {
            return Ok((None, OpenOptions::empty()));
        }
        let (index, share, inode) = self.inside(node)?;
        self.admit(|| {
            let handle = share.files.open(inode, libc::O_DIRECTORY.cast_unsigned(), false)?;
            self.ledger().opened(index, handle, OpenFile { inode });
            Ok((Some(handle), OpenOptions::empty()))
        })
    }

    fn readdir(
        &self,
        _: &Context,
        node: u64,
        handle: u64,
        size: u32,
        offset: u64,
        add_entry: &mut dyn FnMut(DirEntry<'_>) -> io::Result<usize>,
    ) -> io::Result<()> {
        if self.is_unlisted(node)? {
            return Ok(());
        }
        let (share, _) = self.opened(node, handle)?;
        share.files.list(handle, size, offset, add_entry)
    }

    fn fsyncdir(&self, _: &Context, node: u64, data_only: bool, handle: u64) -> io::Result<()> {
        if self.is_unlisted(node)? {
            return Ok(());
        }
        let (share, _) = self.opened(node, handle)?;
        share.files.sync(handle, data_only)
    }

    fn releasedir(&self, _: &Context, node: u64, _: u32, handle: u64) -> io::Result<()> {
        if self.is_unlisted(node)? { Ok(()) } else { self.close(node, handle) }
    }

    fn lseek(&self, _: &Context, node: u64, handle: u64, offset: u64, whence: u32) -> io::Result<u64> {
        let (share, _) = self.opened(node, handle)?;
        share.files.seek(handle, offset, whence)
    }
}
