//! Whole ranges of descriptors, and the three standard ones.

#![allow(unsafe_code)] // close_range(2) works on bare numbers.

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use nix::Result;
use nix::errno::Errno;

const FIRST_AFTER_STDIO: RawFd = 3;

/// Marks all descriptors from 3 on close-on-exec.
pub(crate) fn close_all_on_exec() -> Result<()> {
    close_range(FIRST_AFTER_STDIO, RawFd::MAX, libc::CLOSE_RANGE_CLOEXEC)
}

/// Closes all descriptors from 3 on but those in `keep`.
///
/// For a forked child only: it holds copies of what belongs to the agent and to other processes of its container, such
/// as the ends of their pipes, whose end of file must not wait for this child.
pub(crate) fn close_all_except(keep: &[BorrowedFd<'_>]) -> Result<()> {
    let mut keep: Vec<RawFd> = keep.iter().map(AsRawFd::as_raw_fd).collect();
    keep.sort_unstable();
    let mut next = FIRST_AFTER_STDIO;
    for fd in keep {
        if fd > next {
            close_range(next, fd - 1, 0)?;
        }
        next = next.max(fd + 1);
    }
    close_range(next, RawFd::MAX, 0)
}

fn close_range(first: RawFd, last: RawFd, flags: libc::c_uint) -> Result<()> {
    // SAFETY: only forked children get here, which never touch the closed descriptors' owners again.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    Errno::result(done).map(drop)
}
