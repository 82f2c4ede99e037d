//! Locks of files (fcntl(2) and flock(2)), set on the host's files: they hold among all VMs and processes that share them.
//!
//! flock(2) belongs to an open file, so the host's open file takes it. fcntl(2)'s belong to a process of the guest (an owner, as
//! FUSE calls it) and go with any close of the file by it: each owner gets an open file of its own on the host, with locks of
//! the open file's (F_OFD_SETLK), which is closed at the owner's first FLUSH.
//!
//! Nothing here waits; who has to wait is asked for again ([`super::waiting`]).

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use fuse_backend_rs::api::filesystem::FileLock;
use nix::fcntl::{FcntlArg, fcntl};
use rustix::fs::FlockOperation;

use super::names::errno;

/// `FUSE_LK_FLOCK` of linux/fuse.h: flock(2), not fcntl(2).
pub(super) const FLOCK: u32 = 1;

/// Largest offset in a file; as the end of a lock, "and all behind it".
const LAST: u64 = i64::MAX as u64;

fn kind(lock: &FileLock) -> io::Result<i32> {
    match lock.lock_type.cast_signed() {
        kind @ (libc::F_RDLCK | libc::F_WRLCK | libc::F_UNLCK) => Ok(kind),
        _ => Err(errno(libc::EINVAL)),
    }
}

/// `struct flock` of a lock.
fn range(lock: &FileLock) -> io::Result<libc::flock> {
    let invalid = || errno(libc::EINVAL);
    if lock.start > lock.end || lock.end > LAST {
        return Err(invalid());
    }
    let length = if lock.end == LAST { 0 } else { lock.end - lock.start + 1 };
    Ok(libc::flock {
        l_type: kind(lock)?.try_into().map_err(|_| invalid())?,
        l_whence: libc::SEEK_SET.try_into().map_err(|_| invalid())?,
        l_start: lock.start.cast_signed(),
        l_len: length.cast_signed(),
        l_pid: 0,
    })
}

/// Sets or takes off a lock of an owner's file.
///
/// # Errors
/// EAGAIN: somebody else has one that does not go with it.
pub(super) fn set(file: &File, lock: &FileLock) -> io::Result<()> {
    fcntl(file, FcntlArg::F_OFD_SETLK(&range(lock)?))?;
    Ok(())
}

/// The lock that keeps an owner from its own; one of type F_UNLCK when there is none. Whose it is, is not told: processes
/// of the host are no numbers of the guest's.
pub(super) fn get(file: &File, lock: &FileLock) -> io::Result<FileLock> {
    let mut found = range(lock)?;
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut found))?;
    let start = found.l_start.cast_unsigned();
    let end = if found.l_len == 0 { LAST } else { start + found.l_len.cast_unsigned() - 1 };
    Ok(FileLock { start, end, lock_type: u32::from(found.l_type.cast_unsigned()), pid: 0 })
}

/// Sets or takes off the lock of an open file.
///
/// # Errors
/// EAGAIN: another open file has one that does not go with it.
pub(super) fn set_whole(file: impl AsFd, lock: &FileLock) -> io::Result<()> {
    let operation = match kind(lock)? {
        libc::F_RDLCK => FlockOperation::NonBlockingLockShared,
        libc::F_WRLCK => FlockOperation::NonBlockingLockExclusive,
        _ => FlockOperation::NonBlockingUnlock,
    };
    Ok(rustix::fs::flock(file, operation)?)
}
