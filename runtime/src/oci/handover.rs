//! What a process that starts this program again leaves open for it: numbers of descriptors on the command line.
#![allow(unsafe_code)] // descriptors that exist by their numbers only

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::process::Command;

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

use crate::sandbox::inherit;

/// The number of a descriptor that another process is given.
pub(super) type Handover = RawFd;

/// Lets the child of `command` have `descriptors`, under their numbers. They must stay open until it was made.
pub(super) fn hand_over(command: &mut Command, descriptors: &[OwnedFd]) -> Vec<Handover> {
    inherit(command, descriptors);
    descriptors.iter().map(AsRawFd::as_raw_fd).collect()
}

/// Takes a descriptor that this process was started with; its children do not get it.
///
/// # Errors
/// It is not open, or one of the standard streams.
pub(super) fn take_over(number: Handover) -> io::Result<OwnedFd> {
    if number <= 2 {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // SAFETY: only asked whether it is open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl_getfd(borrowed)?;
    fcntl_setfd(borrowed, FdFlags::CLOEXEC)?;
    // SAFETY: it is open, and was left open for this process by the one that put its number on the command line; nothing else
    // here knows the number, and each is taken once.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
