//! Signals by their numbers, real-time ones included, and the state of them that a new program starts with.

#![allow(unsafe_code)] // signal(2) with SIG_DFL; pidfd_send_signal(2), of which wrappers leave real-time signals out.

use std::os::fd::{AsFd, AsRawFd};

use nix::Result;
use nix::errno::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Default action for every signal and none blocked.
///
/// execve(2) resets handlers by itself, but an ignored signal (Rust ignores SIGPIPE) and the mask pass through.
pub(crate) fn reset() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: restores the default action; numbers that cannot be changed are refused by the kernel.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    nix::sys::signal::SigSet::empty().thread_set_mask().unwrap_or_default();
}

/// Sends a signal to whoever has this pid now. ESRCH when nobody has.
pub(crate) fn send(pid: i32, signal: libc::c_int) -> Result<()> {
    let pid = Pid::from_raw(pid).ok_or(Errno::ESRCH)?;
    let pidfd =
        pidfd_open(pid, PidfdFlags::empty()).map_err(|error| Errno::from_raw(error.raw_os_error()))?;
    send_to(pidfd, signal)
}

/// Sends a signal through a pidfd: never to a stranger with a recycled pid. ESRCH when the process has ended.
pub(crate) fn send_to(process: impl AsFd, signal: libc::c_int) -> Result<()> {
    // SAFETY: no siginfo is passed.
    let done = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_fd().as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    Errno::result(done).map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn real_time_signals_arrive_and_others_are_refused() {
        let mut process = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(process.id()).unwrap();
        assert_eq!(send(pid, 1000), Err(Errno::EINVAL));
        send(pid, libc::SIGRTMAX()).unwrap();
        assert_eq!(process.wait().unwrap().signal(), Some(libc::SIGRTMAX()));
        assert_eq!(
            (send(pid, libc::SIGTERM), send(0, libc::SIGTERM)),
            (Err(Errno::ESRCH), Err(Errno::ESRCH))
        );
    }
}
