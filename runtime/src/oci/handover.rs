//! What a process that starts this program again leaves open for it: numbers of descriptors on the command line.
#![allow(unsafe_code)] // descriptors that exist by their numbers only

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::process::Command;

use nix::libc;
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

use crate::sandbox::inherit;

/// The number of a descriptor that another process is given.
pub(super) type Handover = RawFd;

/// The first descriptor after the standard streams.
const FIRST_OTHER: libc::c_uint = 3;

/// Lets the child of `command` have `descriptors`, under their numbers, and no others but the standard streams. They must stay open until it
/// was made.
pub(super) fn hand_over(command: &mut Command, descriptors: &[OwnedFd]) -> Vec<Handover> {
    keep_others();
    inherit(command, descriptors);
    descriptors.iter().map(AsRawFd::as_raw_fd).collect()
}

/// What this process was started with and does not know is not its children's: buildah leaves both ends of a container's pipes open, and
/// whoever holds the writing end of its own input never sees its end.
fn keep_others() {
    // SAFETY: it changes flags of descriptors, and fails without effect.
    let done = unsafe {
        libc::syscall(libc::SYS_close_range, FIRST_OTHER, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC)
    };
    if done != 0 {
        tracing::warn!(error = %io::Error::last_os_error(), "the supervisor gets descriptors that are not its own");
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_gets_what_it_is_given_and_no_more() {
        let open = || OwnedFd::from(std::fs::File::open("/").unwrap());
        let (given, other) = ([open()], open());
        // As a descriptor that an engine left open.
        fcntl_setfd(&other, FdFlags::empty()).unwrap();
        let mut command = Command::new("sh");
        let numbers = hand_over(&mut command, &given);
        let script =
            format!("test -e /proc/self/fd/{} && ! test -e /proc/self/fd/{}", numbers[0], other.as_raw_fd());
        assert!(command.args(["-c", &script]).status().unwrap().success());
    }
}
