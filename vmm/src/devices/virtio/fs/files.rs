//! The files of one directory of the host, by numbers of inodes and of open files, as FUSE has it.
//!
//! What the guest may do was decided before ([`super::shares`]); how it is done is decided here: one name in a directory that
//! is held open, never a path, and nothing followed (openat2, RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS). A descriptor that only
//! stands for an inode is opened, changed and linked by its name in /proc/self/fd.

use std::collections::HashMap;
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fuse_backend_rs::abi::fuse_abi::{stat64, statvfs64};
use fuse_backend_rs::api::filesystem::{
    DirEntry, Entry, FileLock, SetattrValid, ZeroCopyReader, ZeroCopyWriter,
};
use rustix::fs::{
    AtFlags, CWD, FallocateFlags, FileType, Mode, OFlags, RawDir, RenameFlags, ResolveFlags, SeekFrom,
    Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, XattrFlags,
};
use rustix::process::{Gid, Uid};

use super::inodes::{Inode, Inodes};
use super::locks;
use super::names::errno;
use super::status::{self, Identity};
use super::user::User;

/// Files that a request opens.
pub(super) const ALWAYS: OFlags = OFlags::CLOEXEC.union(OFlags::NOCTTY).union(OFlags::NONBLOCK);

/// How a name is looked up.
const RESOLVE: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);

/// A share's inodes and open files.
pub(super) struct Files {
    inodes: Mutex<Inodes>,
    handles: Mutex<Handles>,
}

#[derive(Default)]
struct Handles {
    open: HashMap<u64, Handle>,
    last: u64,
}

struct Handle {
    file: File,
    appends: bool,
}

/// What is new and open at once.
pub(super) struct Created {
    pub(super) entry: Entry,
    pub(super) handle: u64,
}

/// The name by which the kernel leads to an open file itself.
pub(super) fn link_to(file: impl AsFd) -> String {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())
}

fn bits(mode: u32) -> Mode {
    Mode::from_raw_mode(mode & 0o7777)
}

fn entry(inode: u64, attr: stat64) -> Entry {
    let timeout = Duration::ZERO;
    Entry { inode, generation: 0, attr, attr_flags: 0, attr_timeout: timeout, entry_timeout: timeout }
}

fn reopen(file: impl AsFd, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(CWD, link_to(file), flags | ALWAYS, Mode::empty())?)
}

/// Takes away what a file gives to those who execute it, since somebody without the right to keep that changes it (inode(7): the
/// set-user-ID bit, and the set-group-ID bit where it is one). The kernel takes capabilities away by itself.
fn drop_set_ids(file: impl AsFd) -> io::Result<()> {
    let mode = status::of(&file)?.0.st_mode;
    let group = if mode & libc::S_IXGRP == 0 { 0 } else { libc::S_ISGID };
    let kept = mode & !(libc::S_ISUID | group);
    if kept != mode && mode & libc::S_IFMT == libc::S_IFREG {
        rustix::fs::chmodat(CWD, link_to(&file).as_str(), bits(kept), AtFlags::empty())?;
    }
    Ok(())
}

impl Files {
    /// Of a directory that was opened with O_PATH.
    pub(super) fn new(root: OwnedFd) -> io::Result<Self> {
        Ok(Self { inodes: Mutex::new(Inodes::new(root)?), handles: Mutex::default() })
    }

    fn inodes(&self) -> MutexGuard<'_, Inodes> {
        self.inodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handles(&self) -> MutexGuard<'_, Handles> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the guest knows by a number.
    pub(super) fn inode(&self, number: u64) -> io::Result<Arc<Inode>> {
        self.inodes().get(number)
    }

    /// Does something with an open file.
    fn with<T>(&self, handle: u64, act: impl FnOnce(&mut Handle) -> io::Result<T>) -> io::Result<T> {
        act(self.handles().open.get_mut(&handle).ok_or_else(|| errno(libc::EBADF))?)
    }

    fn opened(&self, file: OwnedFd, flags: u32) -> u64 {
        let mut handles = self.handles();
        handles.last += 1;
        let (number, appends) = (handles.last, flags & libc::O_APPEND.cast_unsigned() != 0);
        handles.open.insert(number, Handle { file: file.into(), appends });
        number
    }

    fn known(&self, file: OwnedFd) -> io::Result<Entry> {
        let (number, status) = self.inodes().take(file)?;
        Ok(entry(number, status))
    }

    /// What has a name; to be let go.
    pub(super) fn lookup(&self, parent: u64, name: &CStr) -> io::Result<Entry> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let parent = self.inode(parent)?;
        self.known(rustix::fs::openat2(&parent.file, name, flags, Mode::empty(), RESOLVE)?)
    }

    pub(super) fn let_go(&self, inode: u64, count: u64) {
        self.inodes().let_go(inode, count);
    }

    /// The status of an open file, or of an inode.
    pub(super) fn status(&self, inode: u64, handle: Option<u64>) -> io::Result<stat64> {
        Ok(self.found(inode, handle)?.0)
    }

    /// Which inode of the host an open file is, or a number stands for.
    pub(super) fn identity(&self, inode: u64, handle: Option<u64>) -> io::Result<Identity> {
        Ok(self.found(inode, handle)?.1)
    }

    /// Which one has a name.
    pub(super) fn identity_of_name(&self, parent: u64, name: &CStr) -> io::Result<Identity> {
        Ok(status::of_name(&self.inode(parent)?.file, name)?.1)
    }

    fn found(&self, inode: u64, handle: Option<u64>) -> io::Result<(stat64, Identity)> {
        match handle {
            Some(handle) => self.with(handle, |open| status::of(&open.file)),
            None => status::of(&self.inode(inode)?.file),
        }
    }

    pub(super) fn file_system(&self, inode: u64) -> io::Result<statvfs64> {
        status::of_file_system(&self.inode(inode)?.file)
    }

    /// Changes what `valid` names.
    pub(super) fn change(
        &self,
        inode: u64,
        handle: Option<u64>,
        to: &stat64,
        valid: SetattrValid,
    ) -> io::Result<stat64> {
        let held = self.inode(inode)?;
        let path = link_to(&held.file);
        if valid.contains(SetattrValid::MODE) {
            rustix::fs::chmodat(CWD, path.as_str(), bits(to.st_mode), AtFlags::empty())?;
        }
        if valid.intersects(SetattrValid::UID | SetattrValid::GID) {
            let given = |flag, id: u32| Some(id).filter(|id| valid.contains(flag) && *id != u32::MAX);
            let owner = given(SetattrValid::UID, to.st_uid).map(Uid::from_raw);
            let group = given(SetattrValid::GID, to.st_gid).map(Gid::from_raw);
            rustix::fs::chownat(CWD, path.as_str(), owner, group, AtFlags::empty())?;
        }
        if valid.contains(SetattrValid::SIZE | SetattrValid::KILL_SUIDGID) {
            drop_set_ids(&held.file)?;
        }
        if valid.contains(SetattrValid::SIZE) {
            let size = u64::try_from(to.st_size).map_err(|_| errno(libc::EINVAL))?;
            match handle {
                Some(handle) => self.with(handle, |open| Ok(rustix::fs::ftruncate(&open.file, size)?))?,
                None => rustix::fs::ftruncate(self.open_file(inode, libc::O_WRONLY.cast_unsigned())?, size)?,
            }
        }
        if valid.intersects(SetattrValid::ATIME | SetattrValid::MTIME) {
            let time = |set, now, tv_sec, tv_nsec| match (valid.contains(set), valid.contains(now)) {
                (_, true) => Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
                (true, false) => Timespec { tv_sec, tv_nsec },
                (false, false) => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            };
            let times = Timestamps {
                last_access: time(
                    SetattrValid::ATIME,
                    SetattrValid::ATIME_NOW,
                    to.st_atime,
                    to.st_atime_nsec,
                ),
                last_modification: time(
                    SetattrValid::MTIME,
                    SetattrValid::MTIME_NOW,
                    to.st_mtime,
                    to.st_mtime_nsec,
                ),
            };
            rustix::fs::utimensat(CWD, path.as_str(), &times, AtFlags::empty())?;
        }
        self.status(inode, handle)
    }

    pub(super) fn target(&self, inode: u64) -> io::Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(&self.inode(inode)?.file, c"", Vec::new())?.into_bytes())
    }

    pub(super) fn symlink(&self, user: User, target: &CStr, parent: u64, name: &CStr) -> io::Result<Entry> {
        let held = self.inode(parent)?;
        let acting = user.act()?;
        rustix::fs::symlinkat(target, &held.file, name)?;
        drop(acting);
        self.lookup(parent, name)
    }

    /// Makes a file that is no directory, no link and no device.
    pub(super) fn node(&self, user: User, parent: u64, name: &CStr, mode: u32) -> io::Result<Entry> {
        let held = self.inode(parent)?;
        let acting = user.act()?;
        rustix::fs::mknodat(&held.file, name, FileType::from_raw_mode(mode), bits(mode), 0)?;
        drop(acting);
        self.lookup(parent, name)
    }

    pub(super) fn directory(&self, user: User, parent: u64, name: &CStr, mode: u32) -> io::Result<Entry> {
        let held = self.inode(parent)?;
        let acting = user.act()?;
        rustix::fs::mkdirat(&held.file, name, bits(mode))?;
        drop(acting);
        self.lookup(parent, name)
    }

    pub(super) fn remove(&self, parent: u64, name: &CStr, flags: AtFlags) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.inode(parent)?.file, name, flags)?)
    }

    pub(super) fn rename(&self, from: (u64, &CStr), to: (u64, &CStr), flags: u32) -> io::Result<()> {
        let (old, new) = (self.inode(from.0)?, self.inode(to.0)?);
        let flags = RenameFlags::from_bits_retain(flags);
        Ok(rustix::fs::renameat_with(&old.file, from.1, &new.file, to.1, flags)?)
    }

    pub(super) fn link(&self, inode: u64, parent: u64, name: &CStr) -> io::Result<Entry> {
        let (held, directory) = (self.inode(inode)?, self.inode(parent)?);
        let path = link_to(&held.file);
        rustix::fs::linkat(CWD, path.as_str(), &directory.file, name, AtFlags::SYMLINK_FOLLOW)?;
        // Not the name, which may be another file's by now.
        self.known(reopen(&held.file, OFlags::PATH)?)
    }

    /// Opens a regular file or a directory, and nothing else: no FIFO that blocks, no device of the host's.
    pub(super) fn open_file(&self, inode: u64, flags: u32) -> io::Result<OwnedFd> {
        let held = self.inode(inode)?;
        if !matches!(held.kind, libc::S_IFREG | libc::S_IFDIR) {
            return Err(errno(libc::EBADF));
        }
        reopen(&held.file, OFlags::from_bits_retain(flags))
    }

    /// Opens an inode; `drops_ids` if it is cut off by somebody for whom it cannot keep those that it gives.
    pub(super) fn open(&self, inode: u64, flags: u32, drops_ids: bool) -> io::Result<u64> {
        let file = self.open_file(inode, flags)?;
        if drops_ids {
            drop_set_ids(&file)?;
        }
        Ok(self.opened(file, flags))
    }

    /// Makes and opens a file; one that is there is opened unless `flags` say O_EXCL, with `drops_ids` as for [`Files::open`].
    pub(super) fn create(
        &self,
        user: User,
        parent: u64,
        name: &CStr,
        (flags, drops_ids): (u32, bool),
        mode: u32,
    ) -> io::Result<Created> {
        let (held, wanted) = (self.inode(parent)?, OFlags::from_bits_retain(flags) | ALWAYS);
        let acting = user.act()?;
        let new = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let made = rustix::fs::openat2(&held.file, name, wanted | new, bits(mode), RESOLVE);
        drop(acting);
        match made {
            Ok(file) => self.created(file, flags),
            Err(error) if error == rustix::io::Errno::EXIST && !wanted.contains(OFlags::EXCL) => {
                let entry = self.lookup(parent, name)?;
                let opened = self.open(entry.inode, flags, drops_ids);
                if opened.is_err() {
                    self.let_go(entry.inode, 1);
                }
                Ok(Created { handle: opened?, entry })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes and opens a file that has no name (O_TMPFILE).
    pub(super) fn unnamed(&self, user: User, parent: u64, flags: u32, mode: u32) -> io::Result<Created> {
        let (held, wanted) =
            (self.inode(parent)?, OFlags::from_bits_retain(flags) | ALWAYS | OFlags::TMPFILE);
        let acting = user.act()?;
        let file = rustix::fs::openat2(&held.file, c".", wanted, bits(mode), RESOLVE)?;
        drop(acting);
        self.created(file, flags)
    }

    fn created(&self, file: OwnedFd, flags: u32) -> io::Result<Created> {
        let entry = self.known(reopen(&file, OFlags::PATH)?)?;
        Ok(Created { entry, handle: self.opened(file, flags) })
    }

    /// Locks an open file as flock(2) does, without waiting.
    pub(super) fn lock(&self, handle: u64, lock: &FileLock) -> io::Result<()> {
        self.with(handle, |open| locks::set_whole(&open.file, lock))
    }

    pub(super) fn close(&self, handle: u64) {
        let closed = self.handles().open.remove(&handle);
        drop(closed);
    }

    pub(super) fn read(
        &self,
        handle: u64,
        to: &mut dyn ZeroCopyWriter,
        size: u32,
        offset: u64,
    ) -> io::Result<usize> {
        self.with(handle, |open| to.write_from(&mut open.file, count(size)?, offset))
    }

    /// Writes; at the end, wherever that is by now, if the guest's file appends. `drops_ids` as for [`Files::open`].
    pub(super) fn write(
        &self,
        handle: u64,
        from: &mut dyn ZeroCopyReader,
        size: u32,
        offset: u64,
        (appends, drops_ids): (bool, bool),
    ) -> io::Result<usize> {
        self.with(handle, |open| {
            if drops_ids {
                drop_set_ids(&open.file)?;
            }
            if open.appends != appends {
                let flags = rustix::fs::fcntl_getfl(&open.file)? - OFlags::APPEND;
                let wanted = if appends { OFlags::APPEND } else { OFlags::empty() };
                rustix::fs::fcntl_setfl(&open.file, flags | wanted)?;
                open.appends = appends;
            }
            from.read_to(&mut open.file, count(size)?, offset)
        })
    }

    pub(super) fn sync(&self, handle: u64, data_only: bool) -> io::Result<()> {
        self.with(handle, |open| if data_only { open.file.sync_data() } else { open.file.sync_all() })
    }

    pub(super) fn allocate(&self, handle: u64, mode: u32, offset: u64, length: u64) -> io::Result<()> {
        let mode = FallocateFlags::from_bits_retain(mode);
        self.with(handle, |open| Ok(rustix::fs::fallocate(&open.file, mode, offset, length)?))
    }

    /// Where the next data or hole is.
    pub(super) fn seek(&self, handle: u64, offset: u64, whence: u32) -> io::Result<u64> {
        let to = match whence.cast_signed() {
            libc::SEEK_DATA => SeekFrom::Data(offset),
            libc::SEEK_HOLE => SeekFrom::Hole(offset),
            _ => return Err(errno(libc::EINVAL)),
        };
        self.with(handle, |open| Ok(rustix::fs::seek(&open.file, to)?))
    }

    /// Lists a directory that is open, from an offset that a listing told before; `add` gives 0 for what finds no room.
    pub(super) fn list(
        &self,
        handle: u64,
        size: u32,
        offset: u64,
        add: &mut dyn FnMut(DirEntry<'_>) -> io::Result<usize>,
    ) -> io::Result<()> {
        self.with(handle, |open| {
            rustix::fs::seek(&open.file, SeekFrom::Start(offset))?;
            let mut room = vec![MaybeUninit::uninit(); count(size)?.clamp(MIN_LIST_BYTES, MAX_LIST_BYTES)];
            let mut directory = RawDir::new(&open.file, &mut room);
            while let Some(found) = directory.next() {
                let found = found?;
                let name = found.file_name().to_bytes();
                if matches!(name, b"." | b"..") {
                    continue;
                }
                let (ino, offset) = (found.ino(), found.next_entry_cookie());
                let type_ = match found.file_type() {
                    FileType::Unknown => 0,
                    known => known.as_raw_mode() >> 12,
                };
                if add(DirEntry { ino, offset, type_, name })? == 0 {
                    break;
                }
            }
            Ok(())
        })
    }

    /// The path of an inode for calls that take no descriptor, with what keeps it valid.
    fn path(&self, inode: u64) -> io::Result<(Arc<Inode>, String)> {
        let held = self.inode(inode)?;
        let path = link_to(&held.file);
        Ok((held, path))
    }

    pub(super) fn set_attribute(&self, inode: u64, name: &CStr, value: &[u8], flags: u32) -> io::Result<()> {
        let (_held, path) = self.path(inode)?;
        Ok(rustix::fs::setxattr(path.as_str(), name, value, XattrFlags::from_bits_retain(flags))?)
    }

    /// An attribute's value of at most `size` bytes.
    pub(super) fn attribute(&self, inode: u64, name: &CStr, size: usize) -> io::Result<Vec<u8>> {
        let (_held, path) = self.path(inode)?;
        let mut value = vec![0; size];
        let length = rustix::fs::getxattr(path.as_str(), name, value.as_mut_slice())?;
        value.truncate(length);
        Ok(value)
    }

    pub(super) fn attribute_size(&self, inode: u64, name: &CStr) -> io::Result<usize> {
        let (_held, path) = self.path(inode)?;
        Ok(rustix::fs::getxattr_query(path.as_str(), name)?)
    }

    /// The names of all attributes, in at most `size` bytes.
    pub(super) fn attributes(&self, inode: u64, size: usize) -> io::Result<Vec<u8>> {
        let (_held, path) = self.path(inode)?;
        let mut names = vec![0; size];
        let length = rustix::fs::listxattr(path.as_str(), names.as_mut_slice())?;
        names.truncate(length);
        Ok(names)
    }

    pub(super) fn attributes_size(&self, inode: u64) -> io::Result<usize> {
        let (_held, path) = self.path(inode)?;
        Ok(rustix::fs::listxattr_query(path.as_str())?)
    }

    pub(super) fn remove_attribute(&self, inode: u64, name: &CStr) -> io::Result<()> {
        let (_held, path) = self.path(inode)?;
        Ok(rustix::fs::removexattr(path.as_str(), name)?)
    }
}

/// Room for one entry whose name is as long as can be, and as much as is read of a directory at once.
const MIN_LIST_BYTES: usize = 512;
const MAX_LIST_BYTES: usize = 32 << 10;

fn count(size: u32) -> io::Result<usize> {
    usize::try_from(size).map_err(|_| errno(libc::EINVAL))
}
