//! Each request of the guest (linux/fuse.h), with every rule about what it may do.

use std::ffi::CStr;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fuse_backend_rs::abi::fuse_abi::{CreateIn, FOPEN_IN_KILL_SUIDGID, WRITE_KILL_PRIV, stat64, statvfs64};
use fuse_backend_rs::api::filesystem::{
    Context, DirEntry, Entry, FileLock, FileSystem, FsOptions, GetxattrReply, ListxattrReply, OpenOptions,
    ROOT_ID, SetattrValid, ZeroCopyReader, ZeroCopyWriter,
};
use rustix::fs::AtFlags;
use rustix::fs::inotify::WatchFlags;

use super::Shares;
use super::caused::{MADE, MOVED, OPENED, REMOVED};
use super::place::{Place, node_of};
use crate::devices::virtio::fs::ledger::OpenFile;
use crate::devices::virtio::fs::locks;
use crate::devices::virtio::fs::names::{self, errno};
use crate::devices::virtio::fs::owners::Owners;
use crate::devices::virtio::fs::share::ONLY_FILE;
use crate::devices::virtio::fs::watches::OF_CONTENT;

/// Flags of open(2) that a guest decides about. Not O_DIRECT, since buffers of guests need not be aligned as the host's disk
/// wants them, and nothing that makes a file or that changes what is opened.
const OPEN_FLAGS: i32 =
    libc::O_ACCMODE | libc::O_APPEND | libc::O_TRUNC | libc::O_SYNC | libc::O_DSYNC | libc::O_NOATIME;

/// Largest value of an extended attribute, and largest list of names (linux/limits.h).
const MAX_ATTRIBUTE_BYTES: u32 = 64 << 10;
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
    /// A new file that has no name, open: the one request that `FileSystem` lacks.
    pub(in crate::devices::virtio::fs) fn unnamed(
        &self,
        context: &Context,
        parent: u64,
        args: CreateIn,
    ) -> io::Result<(Entry, u64)> {
        let (index, share, inode) = self.writable(parent)?;
        self.admit(|| {
            let (user, maker) = self.users(context);
            let flags = masked(args.flags, OPEN_FLAGS | libc::O_EXCL);
            let made = share.files.unnamed(maker, inode, flags, args.mode & !args.umask)?;
            self.tell_open(index, made, user)
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
