//! What stat(2) and statvfs(2) say, in the types of the protocol.

use std::ffi::CStr;
use std::io;
use std::os::fd::AsFd;

use fuse_backend_rs::abi::fuse_abi::{Attr, stat64, statvfs64};
use fuse_backend_rs::api::filesystem::{Context, FileSystem, ROOT_ID};
use rustix::fs::{AtFlags, Statx, StatxFlags, fstatvfs, makedev, statx};

/// The kernel's own flag for the mount's number (linux/stat.h `STATX_MNT_ID`).
const MOUNT: StatxFlags = StatxFlags::MNT_ID;

/// One inode of the host as one mount shows it: the mount decides what may be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    mount: u64,
    device: u64,
    inode: u64,
}

/// The status of what a descriptor refers to, and which inode that is.
pub(super) fn of(file: impl AsFd) -> io::Result<(stat64, Identity)> {
    of_name(file, c"")
}

/// As [`of`], of what has a name in a directory; of the directory itself, where there is no name.
pub(super) fn of_name(directory: impl AsFd, name: &CStr) -> io::Result<(stat64, Identity)> {
    let how = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
    let found = statx(directory, name, how, StatxFlags::BASIC_STATS | MOUNT)?;
    let device = makedev(found.stx_dev_major, found.stx_dev_minor);
    Ok((converted(&found, device), Identity { mount: found.stx_mnt_id, device, inode: found.stx_ino }))
}

fn converted(found: &Statx, device: u64) -> stat64 {
    // All zeroes.
    let mut status = stat64::from(Attr::default());
    status.st_dev = device;
    status.st_ino = found.stx_ino;
    status.st_nlink = found.stx_nlink.into();
    status.st_mode = found.stx_mode.into();
    (status.st_uid, status.st_gid) = (found.stx_uid, found.stx_gid);
    status.st_rdev = makedev(found.stx_rdev_major, found.stx_rdev_minor);
    status.st_size = found.stx_size.cast_signed();
    status.st_blksize = found.stx_blksize.into();
    status.st_blocks = found.stx_blocks.cast_signed();
    (status.st_atime, status.st_atime_nsec) = (found.stx_atime.tv_sec, found.stx_atime.tv_nsec.into());
    (status.st_mtime, status.st_mtime_nsec) = (found.stx_mtime.tv_sec, found.stx_mtime.tv_nsec.into());
    (status.st_ctime, status.st_ctime_nsec) = (found.stx_ctime.tv_sec, found.stx_ctime.tv_nsec.into());
    status
}

/// A file system that answers as the library does by itself: there is no other way to such a structure but through unsafe code.
struct Nothing;

impl FileSystem for Nothing {
    type Inode = u64;
    type Handle = u64;
}

/// The file system that holds what a descriptor refers to.
pub(super) fn of_file_system(file: impl AsFd) -> io::Result<statvfs64> {
    let found = fstatvfs(file)?;
    let mut status = Nothing.statfs(&Context::default(), ROOT_ID)?;
    (status.f_bsize, status.f_frsize, status.f_namemax) = (found.f_bsize, found.f_frsize, found.f_namemax);
    (status.f_blocks, status.f_bfree, status.f_bavail) = (found.f_blocks, found.f_bfree, found.f_bavail);
    (status.f_files, status.f_ffree, status.f_favail) = (found.f_files, found.f_ffree, found.f_favail);
    (status.f_fsid, status.f_flag) = (found.f_fsid, found.f_flag.bits());
    Ok(status)
}
