//! Descriptors that a child keeps under their numbers, and those that none gets.
#![allow(unsafe_code)] // code between fork and execve, and close_range(2)

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::libc;
use rustix::io::{FdFlags, fcntl_setfd};

/// The first descriptor after the standard streams.
const FIRST_OTHER: libc::c_uint = 3;

/// Lets the child of `command` inherit `descriptors`, and no other child of this process. Here they are closed with the command.
pub(crate) fn inherit(command: &mut Command, descriptors: Vec<OwnedFd>) {
    let keep = move || {
        for descriptor in &descriptors {
            fcntl_setfd(descriptor, FdFlags::empty())?;
        }
        Ok(())
    };
    // SAFETY: it only makes system calls: no memory is allocated and no lock taken in the child.
    unsafe { command.pre_exec(keep) };
}

/// What this process was started with and does not know is not its children's: buildah leaves both ends of a container's pipes open, and
/// whoever holds the writing end of its own input never sees its end. Call it before [`inherit`].
pub(crate) fn keep_others() {
    // SAFETY: it changes flags of descriptors, and fails without effect.
    let done = unsafe {
        libc::syscall(libc::SYS_close_range, FIRST_OTHER, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC)
    };
    if done != 0 {
        tracing::warn!(error = %io::Error::last_os_error(), "the supervisor gets descriptors that are not its own");
    }
}
