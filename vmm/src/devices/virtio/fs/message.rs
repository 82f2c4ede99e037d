//! The frame of a FUSE request and of its answer (linux/fuse.h `fuse_in_header`, `fuse_out_header`), and who serves which.

use fuse_backend_rs::abi::fuse_abi::InHeader;

use crate::devices::virtio::ring::{Buffer, split_front, total_bytes};
use crate::memory::{ByteValued, Bytes, GuestRam};

pub(super) const OUT_HEADER_BYTES: usize = 16;

const FORGET: u32 = 2;
const SETLKW: u32 = 33;
const INTERRUPT: u32 = 36;
const BATCH_FORGET: u32 = 42;
const TMPFILE: u32 = 51;
/// Of Holm's guests alone (guest-kernel/patches/0007).
pub(super) const WATCH: u32 = 240;
pub(super) const CHANGES: u32 = 241;

/// Who serves a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// fuse-backend-rs parses it, and asks [`super::shares`].
    Parsed,
    /// A lock that may have to be waited for, of which the library has no notion.
    Lock,
    /// Another request is not to wait any longer.
    Interrupt,
    /// A file that has no name; the library does not know the request.
    Unnamed,
    /// What the guest watches of an inode.
    Watch,
    /// The guest asks what changed on the host, and waits until something does.
    Changes,
    /// Nobody.
    Unknown,
}

/// What a request begins with.
pub(super) type Header = InHeader;

/// Who serves it. There is no DAX window and no ioctl.
pub(super) fn kind(header: &Header) -> Kind {
    match header.opcode {
        SETLKW => Kind::Lock,
        INTERRUPT => Kind::Interrupt,
        TMPFILE => Kind::Unnamed,
        WATCH => Kind::Watch,
        CHANGES => Kind::Changes,
        // LOOKUP to LINK, OPEN to STATFS, RELEASE, FSYNC to FSYNCDIR, GETLK, SETLK, CREATE, DESTROY, BATCH_FORGET, FALLOCATE to LSEEK.
        1..=6 | 8..=18 | 20..=32 | 35 | 38 | 42..=46 => Kind::Parsed,
        _ => Kind::Unknown,
    }
}

/// Whether nobody waits for an answer.
pub(super) fn has_no_answer(header: &Header) -> bool {
    matches!(header.opcode, FORGET | BATCH_FORGET | INTERRUPT)
}

/// What a request begins with; `None` when it is too short.
pub(super) fn read<T: ByteValued + Default>(memory: &GuestRam, readable: &[Buffer]) -> Option<T> {
    let mut buffers = readable.to_vec();
    let mut value = T::default();
    let mut rest = value.as_mut_slice();
    for buffer in split_front(&mut buffers, u64::try_from(rest.len()).ok()?)? {
        let length = usize::try_from(buffer.length).ok()?.min(rest.len());
        let (part, after) = rest.split_at_mut(length);
        memory.read_slice(part, buffer.address).ok()?;
        rest = after;
    }
    Some(value)
}

/// What follows the header of a request.
pub(super) fn body<T: ByteValued + Default>(memory: &GuestRam, readable: &[Buffer]) -> Option<T> {
    let mut buffers = readable.to_vec();
    split_front(&mut buffers, u64::try_from(size_of::<Header>()).ok()?)?;
    read(memory, &buffers)
}

/// Answers a request: an error (0 for none), and what follows it. How many bytes.
pub(super) fn answer(memory: &GuestRam, writable: &[Buffer], unique: u64, errno: i32, body: &[u8]) -> u32 {
    let Ok(length) = u32::try_from(OUT_HEADER_BYTES + body.len()) else { return 0 };
    if total_bytes(writable) < u64::from(length) {
        return 0;
    }
    let header = [&length.to_le_bytes()[..], &(-errno).to_le_bytes(), &unique.to_le_bytes()].concat();
    let bytes = [header.as_slice(), body].concat();
    let mut rest = bytes.as_slice();
    for buffer in writable {
        let count = usize::try_from(buffer.length).unwrap_or(0).min(rest.len());
        let (part, after) = rest.split_at(count);
        if memory.write_slice(part, buffer.address).is_err() {
            return 0;
        }
        rest = after;
    }
    length
}
