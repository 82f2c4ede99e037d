//! Files and guest memory with nothing in between: vectored I/O on the guest's own pages.
#![allow(unsafe_code)] // preadv and pwritev on guest memory, which no Rust reference may point to

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use crate::devices::virtio::ring::Buffer;
use crate::memory::{Bytes, GuestMemory, GuestRam};

/// Reads from a file at `offset_bytes` into `buffers`; how many bytes, 0 at the file's end. May be fewer than asked.
pub(super) fn read_at(
    file: &File,
    memory: &GuestRam,
    buffers: &[Buffer],
    offset_bytes: u64,
) -> io::Result<u64> {
    let vectors = vectors(memory, buffers)?;
    let offset = libc::off64_t::try_from(offset_bytes).map_err(io::Error::other)?;
    let count = i32::try_from(vectors.len()).map_err(io::Error::other)?;
    // SAFETY: every vector names bytes of `memory`'s mapping, which lives as long as the borrow; the kernel writes plain
    // bytes there, and all other access to guest memory is volatile.
    let result = unsafe { libc::preadv64(file.as_raw_fd(), vectors.as_ptr(), count, offset) };
    u64::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Writes `buffers` to a file at `offset_bytes`; how many bytes. May be fewer than asked.
pub(super) fn write_at(
    file: &File,
    memory: &GuestRam,
    buffers: &[Buffer],
    offset_bytes: u64,
) -> io::Result<u64> {
    let vectors = vectors(memory, buffers)?;
    let offset = libc::off64_t::try_from(offset_bytes).map_err(io::Error::other)?;
    let count = i32::try_from(vectors.len()).map_err(io::Error::other)?;
    // SAFETY: as in `read_at`; the kernel only reads the guest's bytes.
    let result = unsafe { libc::pwritev64(file.as_raw_fd(), vectors.as_ptr(), count, offset) };
    u64::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Fills `buffers` with zeroes.
pub(super) fn zero(memory: &GuestRam, buffers: &[Buffer]) -> io::Result<()> {
    const ZEROES: [u8; 4096] = [0; 4096];
    for buffer in buffers {
        let mut address = buffer.address.0;
        let end = address.saturating_add(buffer.length.into());
        while address < end {
            let count = usize::try_from(end - address).unwrap_or(usize::MAX).min(ZEROES.len());
            memory
                .write_slice(&ZEROES[..count], crate::memory::GuestAddress(address))
                .map_err(io::Error::other)?;
            address += count as u64;
        }
    }
    Ok(())
}

/// `struct iovec`s of guest memory. A buffer that is not guest memory is an error here too, although parsing checked it.
fn vectors(memory: &GuestRam, buffers: &[Buffer]) -> io::Result<Vec<libc::iovec>> {
    buffers
        .iter()
        .map(|buffer| {
            let length = usize::try_from(buffer.length).map_err(io::Error::other)?;
            let slice = memory.get_slice(buffer.address, length).map_err(io::Error::other)?;
            Ok(libc::iovec { iov_base: slice.ptr_guard_mut().as_ptr().cast(), iov_len: slice.len() })
        })
        .collect()
}
