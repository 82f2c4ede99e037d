//! Descriptors that a child keeps under their numbers.
#![allow(unsafe_code)] // code between fork and execve

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::{FdFlags, fcntl_setfd};

/// Lets the child of `command` inherit `descriptors`, and no other child of this process.
pub(crate) fn inherit(command: &mut Command, descriptors: &[OwnedFd]) {
    let numbers: Vec<i32> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let keep = move || {
        for number in &numbers {
            // SAFETY: the caller keeps the descriptors open until the child was made, and in the child nobody closes them.
            fcntl_setfd(unsafe { BorrowedFd::borrow_raw(*number) }, FdFlags::empty())?;
        }
        Ok(())
    };
    // SAFETY: it only makes system calls: no memory is allocated and no lock taken in the child.
    unsafe { command.pre_exec(keep) };
}
