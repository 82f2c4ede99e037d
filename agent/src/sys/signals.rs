//! The signal state that a new program starts with.

#![allow(unsafe_code)] // signal(2) with SIG_DFL.

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

/// Sends a signal, which may be a real-time one, to a process by its pid.
pub(crate) fn send(pid: i32, signal: libc::c_int) -> nix::Result<()> {
    // SAFETY: takes integers.
    nix::errno::Errno::result(unsafe { libc::kill(pid, signal) }).map(drop)
}
