//! The guest's own pages read and written by the host's kernel, with nothing in between: vectored I/O (readv(2)).
//!
//! Trust: where the bytes lie is the guest's to say, and checked here; what they are, it may change at any time.
#![allow(unsafe_code)] // system calls on guest memory, which no Rust reference may point to

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use crate::devices::virtio::ring::Buffer;
use crate::memory::{GuestMemory, GuestRam};

/// `struct iovec`, with the address and not a pointer: the next call may be another thread's.
#[derive(Debug)]
#[repr(C)]
struct Vector {
    start: usize,
    length_bytes: usize,
}

const _: () = assert!(size_of::<Vector>() == size_of::<libc::iovec>());

/// What is reused from call to call.
#[derive(Debug, Default)]
pub(crate) struct Vectors(Vec<Vector>);

/// A system call, with what it takes beside guest memory.
enum Call<'a> {
    /// preadv(2), from here on.
    ReadAt(u64),
    /// pwritev(2), from here on.
    WriteAt(u64),
    /// writev(2), of this first.
    Write(&'a [u8]),
}

impl Vectors {
    /// Writes `header`, the caller's copy that the guest cannot change any more, and `buffers` in one piece.
    pub(crate) fn write(
        &mut self,
        file: BorrowedFd<'_>,
        header: &[u8],
        memory: &GuestRam,
        buffers: &[Buffer],
    ) -> io::Result<()> {
        self.call(file, &Call::Write(header), memory, buffers).map(drop)
    }

    /// How many bytes passed. A buffer that is not guest memory is an error here too, although parsing checked it.
    fn call(
        &mut self,
        file: BorrowedFd<'_>,
        call: &Call<'_>,
        memory: &GuestRam,
        buffers: &[Buffer],
    ) -> io::Result<u64> {
        self.0.clear();
        if let Call::Write(header) = call {
            self.0.push(Vector { start: header.as_ptr().expose_provenance(), length_bytes: header.len() });
        }
        for buffer in buffers {
            let length = usize::try_from(buffer.length).map_err(io::Error::other)?;
            let slice = memory.get_slice(buffer.address, length).map_err(io::Error::other)?;
            let start = slice.ptr_guard_mut().as_ptr().expose_provenance();
            self.0.push(Vector { start, length_bytes: slice.len() });
        }
        let count = i32::try_from(self.0.len()).map_err(io::Error::other)?;
        let offset = match call {
            Call::ReadAt(offset) | Call::WriteAt(offset) => {
                libc::off64_t::try_from(*offset).map_err(io::Error::other)?
            }
            Call::Write(_) => 0,
        };
        let (fd, vectors) = (file.as_raw_fd(), self.0.as_ptr().cast());
        // SAFETY: the vectors, just made, name bytes of `memory`'s mapping and the header, which outlive the call. The kernel
        // writes plain bytes to the mapping, to which all other access is volatile, and only reads the header.
        let result = unsafe {
            match call {
                Call::ReadAt(_) => libc::preadv64(fd, vectors, count, offset),
                Call::WriteAt(_) => libc::pwritev64(fd, vectors, count, offset),
                Call::Write(_) => libc::writev(fd, vectors, count),
            }
        };
        u64::try_from(result).map_err(|_| io::Error::last_os_error())
    }
}

/// Reads from a file at `offset_bytes` into `buffers`; how many bytes, 0 at the file's end. May be fewer than asked.
pub(crate) fn read_at(
    file: &File,
    memory: &GuestRam,
    buffers: &[Buffer],
    offset_bytes: u64,
) -> io::Result<u64> {
    Vectors::default().call(file.as_fd(), &Call::ReadAt(offset_bytes), memory, buffers)
}

/// Writes `buffers` to a file at `offset_bytes`; how many bytes. May be fewer than asked.
pub(crate) fn write_at(
    file: &File,
    memory: &GuestRam,
    buffers: &[Buffer],
    offset_bytes: u64,
) -> io::Result<u64> {
    Vectors::default().call(file.as_fd(), &Call::WriteAt(offset_bytes), memory, buffers)
}
