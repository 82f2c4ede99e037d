//! What a process that starts this program again leaves open for it: numbers of descriptors on the command line.
#![allow(unsafe_code)] // descriptors that exist by their numbers only

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::process::Command;

use rustix::io::{FdFlags, fcntl_setfd};

use crate::sandbox::{inherit, keep_others};

/// The number of a descriptor that another process is given.
pub(super) type Handover = RawFd;

/// Lets the child of `command` have `descriptors`, under these numbers, and no others but the standard streams. Here they are closed with
/// the command.
pub(super) fn hand_over(command: &mut Command, descriptors: Vec<OwnedFd>) -> Vec<Handover> {
    keep_others();
    let numbers = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    inherit(command, descriptors);
    numbers
}

/// Takes a descriptor that this process was started with; its children do not get it.
///
/// # Errors
/// It is not open, or one of the standard streams.
pub(super) fn take_over(number: Handover) -> io::Result<OwnedFd> {
    if number <= 2 {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // SAFETY: it was left open for this process by the one that put its number on the command line; nothing else here knows the
    // number, and each is taken once. One that is not open is given up unclosed.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    match fcntl_setfd(&descriptor, FdFlags::CLOEXEC) {
        Ok(()) => Ok(descriptor),
        Err(errno) => {
            let _ = descriptor.into_raw_fd();
            Err(errno.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_gets_what_it_is_given_and_no_more() {
        let open = || OwnedFd::from(std::fs::File::open("/").unwrap());
        let (given, other) = (vec![open()], open());
        // As a descriptor that an engine left open.
        fcntl_setfd(&other, FdFlags::empty()).unwrap();
        let mut command = Command::new("sh");
        let numbers = hand_over(&mut command, given);
        let script =
            format!("test -e /proc/self/fd/{} && ! test -e /proc/self/fd/{}", numbers[0], other.as_raw_fd());
        assert!(command.args(["-c", &script]).status().unwrap().success());
        assert!(is_open(numbers[0]));
        drop(command);
        assert!(!is_open(numbers[0]));
    }

    fn is_open(number: Handover) -> bool {
        std::fs::exists(format!("/proc/self/fd/{number}")).unwrap()
    }

    #[test]
    fn what_is_not_open_is_not_taken_over() {
        for number in [-1, 0, 2, 1_000_000] {
            assert!(take_over(number).is_err());
        }
    }
}
