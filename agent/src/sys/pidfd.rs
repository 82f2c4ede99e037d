//! Signals through a pidfd: never to a stranger with a recycled pid.

#![allow(unsafe_code)] // pidfd_send_signal(2) has no wrapper.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::Result;
use nix::errno::Errno;

/// Sends a signal; the number may be a real-time one. ESRCH when the process has ended.
pub(crate) fn send_signal(pidfd: BorrowedFd<'_>, signal: libc::c_int) -> Result<()> {
    // SAFETY: no siginfo is passed.
    let done = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    Errno::result(done).map(drop)
}
