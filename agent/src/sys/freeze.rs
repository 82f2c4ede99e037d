//! FIFREEZE (ioctl_fsfreeze of the kernel's file systems).

#![allow(unsafe_code)] // ioctl(2).

use std::os::fd::{AsFd, AsRawFd};

use nix::Result;
use nix::errno::Errno;

/// `_IOWR('X', 119, int)`, which the libc crate lacks.
const FIFREEZE: libc::Ioctl = 0xc004_5877;

/// Writes back everything that a file system has, its journal included, and lets nobody write from now on.
pub(crate) fn freeze(directory: impl AsFd) -> Result<()> {
    // SAFETY: the kernel ignores the argument.
    Errno::result(unsafe { libc::ioctl(directory.as_fd().as_raw_fd(), FIFREEZE, 0) }).map(drop)
}
