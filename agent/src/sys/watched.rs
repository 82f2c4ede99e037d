//! Descriptors that the event loop watches.

#![allow(unsafe_code)] // tokio asks for a promise about the descriptor that it watches.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Has the event loop watch a descriptor for as long as the result lives.
pub(crate) fn watched(descriptor: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is open as long as the value that owns it, which `AsyncFd` does not give away but at its end.
    Ok(unsafe { AsyncFd::register_with_interest(descriptor, interest) }?)
}
