//! Frames between a link and guest memory.
#![allow(unsafe_code)] // writev on guest memory, which no Rust reference may point to

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::header::HEADER_BYTES;
use crate::devices::virtio::ring::Buffer;
use crate::memory::{GuestMemory, GuestRam};

/// What is reused from frame to frame.
#[derive(Debug, Default)]
pub(super) struct Vectors(Vec<libc::iovec>);

// SAFETY: the vectors are empty between two calls of `send`, which leaves none behind.
unsafe impl Send for Vectors {}

/// Sends one frame whose body lies in guest memory. The header is the caller's copy: the guest cannot change it any more.
pub(super) fn send(
    link: BorrowedFd<'_>,
    memory: &GuestRam,
    header: &[u8; HEADER_BYTES],
    body: &[Buffer],
    vectors: &mut Vectors,
) -> io::Result<()> {
    let vectors = &mut vectors.0;
    vectors.clear();
    // writev(2) only reads.
    vectors.push(libc::iovec { iov_base: header.as_ptr().cast_mut().cast(), iov_len: HEADER_BYTES });
    for buffer in body {
        let length = usize::try_from(buffer.length).map_err(io::Error::other)?;
        let slice = memory.get_slice(buffer.address, length).map_err(io::Error::other)?;
        vectors.push(libc::iovec { iov_base: slice.ptr_guard_mut().as_ptr().cast(), iov_len: slice.len() });
    }
    let count = i32::try_from(vectors.len()).map_err(io::Error::other)?;
    // SAFETY: the vectors name the header and bytes of `memory`'s mapping, both of which outlive the call; the kernel only
    // reads them, and all other access to guest memory is volatile.
    let result = unsafe { libc::writev(link.as_raw_fd(), vectors.as_ptr(), count) };
    vectors.clear();
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Receives one frame with its header; how many bytes.
pub(super) fn receive(link: BorrowedFd<'_>, frame: &mut [u8]) -> io::Result<usize> {
    Ok(nix::unistd::read(link, frame)?)
}
