//! The tree that the guest sees, and every rule about what it may do in it.
//!
//! ```text
//!   number of an inode:  1                        the root, which holds 0, 1, ...
//!                        (share + 1) << 56 | 1    a share's directory
//!                        (share + 1) << 56 | 2    the one file of a share with an `only` name
//!                        (share + 1) << 56 | n    another inode of a share
//! ```

use std::ffi::CStr;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fuse_backend_rs::abi::fuse_abi::{CreateIn, stat64, statvfs64};
use fuse_backend_rs::api::filesystem::{
    Context, DirEntry, Entry, FileSystem, FsOptions, GetxattrReply, ListxattrReply, OpenOptions, ROOT_ID,
    SetattrValid, ZeroCopyReader, ZeroCopyWriter,
};

use super::ledger::{Ledger, Limits, Node, OpenFile};
use super::names::{self, errno};
use super::owners::Owners;
use super::share::{ONLY_FILE, Root, Share};

const SHARE_SHIFT: u32 = 56;
const INODE_MASK: u64 = (1 << SHARE_SHIFT) - 1;

/// Flags of open(2) that a guest decides about; fuse-backend-rs gives them to the host as they are. Not O_DIRECT (see
/// `share`), and nothing that makes a file or that changes what is opened.
const OPEN_FLAGS: i32 =
    libc::O_ACCMODE | libc::O_APPEND | libc::O_TRUNC | libc::O_SYNC | libc::O_DSYNC | libc::O_NOATIME;

/// Largest value of an extended attribute, and largest list of names (linux/limits.h).
const MAX_ATTRIBUTE_BYTES: u32 = 64 << 10;

/// How often a directory is read again when an entry was removed between its being listed and looked at.
const READ_ATTEMPTS: usize = 16;

/// All shares of a VM.
pub(super) struct Shares {
    shares: Vec<Share>,
    owners: Owners,
    ledger: Mutex<Ledger>,
}

/// A number that the guest gave, taken apart.
#[derive(Clone, Copy)]
enum Place {
    Root,
    In(usize, u64),
}

fn node_of(share: usize, inode: u64) -> Node {
    // There are at most MAX_SHARES shares.
    (share as u64 + 1) << SHARE_SHIFT | inode
}

fn masked(flags: u32, mask: i32) -> u32 {
    flags & mask.cast_unsigned()
}

fn writes(flags: u32) -> bool {
    masked(flags, libc::O_ACCMODE) != libc::O_RDONLY.cast_unsigned() || masked(flags, libc::O_TRUNC) != 0
}

impl Shares {
    /// Begins to serve. The caller is the thread that serves.
    pub(super) fn new(roots: &[Root], limits: Limits, owners: Owners) -> io::Result<Self> {
        let shares = roots.iter().map(Share::new).collect::<io::Result<_>>()?;
        Ok(Self { shares, owners, ledger: Mutex::new(Ledger::new(limits)) })
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn share(&self, index: usize) -> io::Result<&Share> {
        self.shares.get(index).ok_or_else(|| errno(libc::EBADF))
    }

    fn place(&self, node: Node) -> io::Result<Place> {
        if node == ROOT_ID {
            return Ok(Place::Root);
        }
        let number = usize::try_from(node >> SHARE_SHIFT).map_err(|_| errno(libc::EBADF))?;
        let index = number.checked_sub(1).filter(|index| *index < self.shares.len());
        let (index, inode) = (index.ok_or_else(|| errno(libc::EBADF))?, node & INODE_MASK);
        if inode == ROOT_ID || inode == ONLY_FILE || self.ledger().knows(node) {
            Ok(Place::In(index, inode))
        } else {
            Err(errno(libc::EBADF))
        }
    }

    /// Something in a share.
    fn inside(&self, node: Node) -> io::Result<(usize, &Share, u64)> {
        match self.place(node)? {
            Place::Root => Err(errno(libc::EACCES)),
            Place::In(index, inode) => Ok((index, self.share(index)?, inode)),
        }
    }

    /// Something in a share that is not read-only.
    fn changeable(&self, node: Node) -> io::Result<(usize, &Share, u64)> {
        let found = match self.place(node)? {
            Place::Root => return Err(errno(libc::EROFS)),
            Place::In(index, inode) => (index, self.share(index)?, inode),
        };
        if found.1.read_only { Err(errno(libc::EROFS)) } else { Ok(found) }
    }

    /// Something that may be changed itself: not the directory around a single file, which nobody was given.
    fn writable(&self, node: Node) -> io::Result<(usize, &Share, u64)> {
        let found = self.changeable(node)?;
        if found.1.only.is_some() && found.2 == ROOT_ID { Err(errno(libc::EACCES)) } else { Ok(found) }
    }

    /// A directory in which names may be made and removed.
    fn directory(&self, node: Node, name: &CStr) -> io::Result<(usize, &Share, u64)> {
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
    fn file(&self, node: Node, handle: u64) -> io::Result<(&Share, OpenFile)> {
        let (index, share, inode) = self.inside(node)?;
        match self.ledger().file(index, handle) {
            Some(file) if file.inode == inode || inode == ONLY_FILE => Ok((share, file)),
            _ => Err(errno(libc::EBADF)),
        }
    }

    fn opened(&self, node: Node, handle: u64) -> io::Result<(&Share, u64)> {
        self.file(node, handle).map(|(share, file)| (share, file.inode))
    }

    /// A handle, if one more may be open.
    fn admit<T>(&self, open: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if self.ledger().has_room() { open() } else { Err(errno(libc::ENFILE)) }
    }

    fn close(&self, node: Node, handle: u64) -> io::Result<()> {
        let (index, share, inode) = self.inside(node)?;
        let (_, open) = self.opened(node, handle)?;
        self.ledger().closed(index, handle);
        let closed = share.files.release(&Context::default(), open, 0, handle, false, false, None);
        if inode == ONLY_FILE {
            share.let_go(open);
        }
        closed
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
    fn tell_made(&self, index: usize, entry: Entry, context: &Context) -> io::Result<Entry> {
        self.owners.made(&self.share(index)?.files, entry.inode, &entry.attr, context);
        self.tell(index, entry)
    }

    /// An inode's status as the guest is told.
    fn status(&self, share: &Share, inode: u64, handle: Option<u64>) -> io::Result<stat64> {
        let (mut status, _) = share.files.getattr(&Context::default(), inode, handle)?;
        self.owners.show(&share.files, inode, &mut status);
        Ok(status)
    }

    fn told(&self, inode: Node, attr: stat64) -> Entry {
        let timeout = Duration::ZERO;
        Entry { inode, generation: 0, attr, attr_flags: 0, attr_timeout: timeout, entry_timeout: timeout }
    }

    /// The root's status: a directory that everybody may pass.
    fn root_status(&self, context: &Context) -> io::Result<stat64> {
        let (mut status, _) = self.share(0)?.files.getattr(context, ROOT_ID, None)?;
        status.st_mode = libc::S_IFDIR | 0o711;
        (status.st_ino, status.st_uid, status.st_gid, status.st_nlink) = (ROOT_ID, 0, 0, 2);
        Ok(status)
    }

    fn change(
        &self,
        context: &Context,
        share: &Share,
        inode: u64,
        attr: stat64,
        handle: Option<u64>,
        valid: SetattrValid,
    ) -> io::Result<(stat64, Duration)> {
        let rest = self.owners.change(&share.files, inode, &attr, valid)?;
        let (mut status, _) = share.files.setattr(context, inode, attr, handle, rest)?;
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
        // No cache of names or attributes, no writes that wait in the guest: what one side does, the other sees.
        Ok(FsOptions::ASYNC_READ
            | FsOptions::ATOMIC_O_TRUNC
            | FsOptions::BIG_WRITES
            | FsOptions::AUTO_INVAL_DATA
            | FsOptions::ASYNC_DIO
            | FsOptions::PARALLEL_DIROPS
            | FsOptions::MAX_PAGES)
    }

    fn lookup(&self, context: &Context, parent: u64, name: &CStr) -> io::Result<Entry> {
        names::check(name)?;
        match self.place(parent)? {
            Place::Root => {
                let index: usize =
                    name.to_str().ok().and_then(|n| n.parse().ok()).ok_or_else(|| errno(libc::ENOENT))?;
                let share = self.shares.get(index).ok_or_else(|| errno(libc::ENOENT))?;
                Ok(self.told(node_of(index, ROOT_ID), self.status(share, ROOT_ID, None)?))
            }
            Place::In(index, inode) => {
                let share = self.share(index)?;
                let Some(only) = &share.only else {
                    return self.tell(index, share.files.lookup(context, inode, name)?);
                };
                if inode != ROOT_ID || only.as_c_str() != name {
                    return Err(errno(libc::ENOENT));
                }
                let held = share.hold(context, ONLY_FILE)?;
                Ok(self.told(node_of(index, ONLY_FILE), self.status(share, held.inode, None)?))
            }
        }
    }

    fn forget(&self, context: &Context, node: u64, count: u64) {
        let Ok(Place::In(index, inode)) = self.place(node) else { return };
        let forgotten = self.ledger().forget(node, count);
        if let (Some(share), 1..) = (self.shares.get(index), forgotten) {
            share.files.forget(context, inode, forgotten);
        }
    }

    fn getattr(&self, context: &Context, node: u64, handle: Option<u64>) -> io::Result<(stat64, Duration)> {
        if node == ROOT_ID {
            return Ok((self.root_status(context)?, Duration::ZERO));
        }
        let (_, share, inode) = self.inside(node)?;
        if let Some((share, open)) = handle.and_then(|handle| self.opened(node, handle).ok()) {
            return Ok((self.status(share, open, handle)?, Duration::ZERO));
        }
        Ok((self.status(share, share.hold(context, inode)?.inode, None)?, Duration::ZERO))
    }

    fn setattr(
        &self,
        context: &Context,
        node: u64,
        attr: stat64,
        handle: Option<u64>,
        valid: SetattrValid,
    ) -> io::Result<(stat64, Duration)> {
        let (_, share, inode) = self.writable(node)?;
        let valid = valid - SetattrValid::KILL_SUIDGID;
        match handle {
            Some(handle) => {
                let (share, open) = self.opened(node, handle)?;
                self.change(context, share, open, attr, Some(handle), valid)
            }
            None => {
                let held = share.hold(context, inode)?;
                self.change(context, share, held.inode, attr, None, valid)
            }
        }
    }

    fn readlink(&self, context: &Context, node: u64) -> io::Result<Vec<u8>> {
        let (_, share, inode) = self.inside(node)?;
        share.files.readlink(context, share.hold(context, inode)?.inode)
    }

    fn symlink(&self, context: &Context, link: &CStr, parent: u64, name: &CStr) -> io::Result<Entry> {
        let (index, share, inode) = self.directory(parent, name)?;
        let entry = share.files.symlink(&self.owners.maker(context), link, inode, name)?;
        self.tell_made(index, entry, context)
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
        let entry = share.files.mknod(&self.owners.maker(context), inode, name, mode, 0, umask)?;
        self.tell_made(index, entry, context)
    }

    fn mkdir(&self, context: &Context, parent: u64, name: &CStr, mode: u32, umask: u32) -> io::Result<Entry> {
        let (index, share, inode) = self.directory(parent, name)?;
        let entry = share.files.mkdir(&self.owners.maker(context), inode, name, mode, umask)?;
        self.tell_made(index, entry, context)
    }

    fn unlink(&self, context: &Context, parent: u64, name: &CStr) -> io::Result<()> {
        let (_, share, inode) = self.directory(parent, name)?;
        share.files.unlink(context, inode, name)
    }

    fn rmdir(&self, context: &Context, parent: u64, name: &CStr) -> io::Result<()> {
        let (_, share, inode) = self.directory(parent, name)?;
        share.files.rmdir(context, inode, name)
    }

    fn rename(
        &self,
        context: &Context,
        from: u64,
        old: &CStr,
        to: u64,
        new: &CStr,
        flags: u32,
    ) -> io::Result<()> {
        let (index, share, from) = self.directory(from, old)?;
        let (other, _, to) = self.directory(to, new)?;
        if index != other {
            return Err(errno(libc::EXDEV));
        }
        // A whiteout is a device.
        if flags & libc::RENAME_WHITEOUT != 0 {
            return Err(errno(libc::EINVAL));
        }
        share.files.rename(context, from, old, to, new, flags)
    }

    fn link(&self, context: &Context, node: u64, parent: u64, name: &CStr) -> io::Result<Entry> {
        let (index, share, parent) = self.directory(parent, name)?;
        let (other, _, inode) = self.inside(node)?;
        if index != other {
            return Err(errno(libc::EXDEV));
        }
        self.tell(index, share.files.link(context, inode, parent, name)?)
    }

    fn open(
        &self,
        context: &Context,
        node: u64,
        flags: u32,
        _: u32,
    ) -> io::Result<(Option<u64>, OpenOptions, Option<u32>)> {
        let (index, share, inode) = if writes(flags) { self.writable(node)? } else { self.inside(node)? };
        self.admit(|| {
            let held = share.hold(context, inode)?;
            let flags = masked(flags, OPEN_FLAGS);
            let (handle, options, _) = share.files.open(context, held.inode, flags, 0)?;
            if let Some(handle) = handle {
                self.ledger().opened(index, handle, OpenFile { inode: held.keep(), flags });
            }
            Ok((handle, options, None))
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
            let args = CreateIn { flags, fuse_flags: 0, ..args };
            let maker = self.owners.maker(context);
            let (entry, handle, options, _) = share.files.create(&maker, inode, name, args)?;
            let inode = entry.inode;
            let told = self.tell_made(index, entry, context);
            match (&told, handle) {
                (Ok(_), Some(handle)) => self.ledger().opened(index, handle, OpenFile { inode, flags }),
                (Err(_), Some(handle)) => {
                    share.files.release(context, inode, 0, handle, false, false, None)?;
                }
                (_, None) => {}
            }
            Ok((told?, handle, options, None))
        })
    }

    fn read(
        &self,
        context: &Context,
        node: u64,
        handle: u64,
        to: &mut dyn ZeroCopyWriter,
        size: u32,
        offset: u64,
        owner: Option<u64>,
        _: u32,
    ) -> io::Result<usize> {
        let (share, file) = self.file(node, handle)?;
        // The flags that it has: the library closes a file whose flags it fails to change, and once more later.
        share.files.read(context, file.inode, handle, to, size, offset, owner, file.flags)
    }

    fn write(
        &self,
        context: &Context,
        node: u64,
        handle: u64,
        from: &mut dyn ZeroCopyReader,
        size: u32,
        offset: u64,
        owner: Option<u64>,
        delayed: bool,
        flags: u32,
        _: u32,
    ) -> io::Result<usize> {
        self.writable(node)?;
        let (share, file) = self.file(node, handle)?;
        // What is open for appending on the host would not go where the guest wants it.
        let appends = |flags| masked(flags, libc::O_APPEND) != 0;
        if appends(file.flags) && !appends(flags) {
            return Err(errno(libc::EPERM));
        }
        // As for reading.
        share.files.write(context, file.inode, handle, from, size, offset, owner, delayed, file.flags, 0)
    }

    fn fsync(&self, context: &Context, node: u64, data_only: bool, handle: u64) -> io::Result<()> {
        let (share, open) = self.opened(node, handle)?;
        share.files.fsync(context, open, data_only, handle)
    }

    fn fallocate(
        &self,
        context: &Context,
        node: u64,
        handle: u64,
        mode: u32,
        offset: u64,
        length: u64,
    ) -> io::Result<()> {
        self.writable(node)?;
        let (share, open) = self.opened(node, handle)?;
        share.files.fallocate(context, open, handle, mode, offset, length)
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

    fn statfs(&self, context: &Context, node: u64) -> io::Result<statvfs64> {
        match self.place(node)? {
            Place::Root => self.share(0)?.files.statfs(context, ROOT_ID),
            Place::In(index, inode) => {
                let share = self.share(index)?;
                share.files.statfs(context, share.hold(context, inode)?.inode)
            }
        }
    }

    fn setxattr(
        &self,
        context: &Context,
        node: u64,
        name: &CStr,
        value: &[u8],
        flags: u32,
    ) -> io::Result<()> {
        names::check_attribute(name)?;
        let (_, share, inode) = self.writable(node)?;
        share.files.setxattr(context, share.hold(context, inode)?.inode, name, value, flags)
    }

    fn getxattr(&self, context: &Context, node: u64, name: &CStr, size: u32) -> io::Result<GetxattrReply> {
        names::check_attribute(name)?;
        let (_, share, inode) = self.inside(node)?;
        let size = size.min(MAX_ATTRIBUTE_BYTES);
        share.files.getxattr(context, share.hold(context, inode)?.inode, name, size)
    }

    fn listxattr(&self, context: &Context, node: u64, size: u32) -> io::Result<ListxattrReply> {
        let (_, share, inode) = self.inside(node)?;
        let size = size.min(MAX_ATTRIBUTE_BYTES);
        Ok(match share.files.listxattr(context, share.hold(context, inode)?.inode, size)? {
            ListxattrReply::Names(names) => ListxattrReply::Names(names::without_note(&names)),
            count @ ListxattrReply::Count(_) => count,
        })
    }

    fn removexattr(&self, context: &Context, node: u64, name: &CStr) -> io::Result<()> {
        names::check_attribute(name)?;
        let (_, share, inode) = self.writable(node)?;
        share.files.removexattr(context, share.hold(context, inode)?.inode, name)
    }

    fn opendir(&self, context: &Context, node: u64, _: u32) -> io::Result<(Option<u64>, OpenOptions)> {
        if self.is_unlisted(node)? {
            return Ok((None, OpenOptions::empty()));
        }
        let (index, share, inode) = self.inside(node)?;
        self.admit(|| {
            let (handle, options) = share.files.opendir(context, inode, 0)?;
            if let Some(handle) = handle {
                self.ledger().opened(index, handle, OpenFile { inode, flags: 0 });
            }
            Ok((handle, options))
        })
    }

    fn readdir(
        &self,
        context: &Context,
        node: u64,
        handle: u64,
        size: u32,
        offset: u64,
        add_entry: &mut dyn FnMut(DirEntry<'_>) -> io::Result<usize>,
    ) -> io::Result<()> {
        if self.is_unlisted(node)? {
            return Ok(());
        }
        let (share, open) = self.opened(node, handle)?;
        let mut attempts = 0..READ_ATTEMPTS;
        loop {
            // It fails with the first entry that is gone, and gives those before it.
            match share.files.readdir(context, open, handle, size, offset, add_entry) {
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) && attempts.next().is_some() => {}
                done => return done,
            }
        }
    }

    fn fsyncdir(&self, context: &Context, node: u64, data_only: bool, handle: u64) -> io::Result<()> {
        if self.is_unlisted(node)? {
            return Ok(());
        }
        let (share, open) = self.opened(node, handle)?;
        share.files.fsyncdir(context, open, data_only, handle)
    }

    fn releasedir(&self, _: &Context, node: u64, _: u32, handle: u64) -> io::Result<()> {
        if self.is_unlisted(node)? { Ok(()) } else { self.close(node, handle) }
    }

    fn lseek(&self, context: &Context, node: u64, handle: u64, offset: u64, whence: u32) -> io::Result<u64> {
        let (share, open) = self.opened(node, handle)?;
        share.files.lseek(context, open, handle, offset, whence)
    }
}
