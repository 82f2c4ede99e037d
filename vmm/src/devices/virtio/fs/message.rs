//! The frame of a FUSE request (linux/fuse.h `fuse_in_header`, `fuse_out_header`), and which requests are served at all.

use crate::devices::virtio::ring::{Buffer, split_front, total_bytes};
use crate::memory::{Bytes, GuestRam};

pub(super) const IN_HEADER_BYTES: usize = 40;
pub(super) const OUT_HEADER_BYTES: usize = 16;

const FORGET: u32 = 2;
const BATCH_FORGET: u32 = 42;

/// What a request's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) opcode: u32,
    pub(super) unique: u64,
}

impl Header {
    /// The header at the beginning of a request; `None` when it is too short.
    pub(super) fn read(memory: &GuestRam, readable: &[Buffer]) -> Option<Self> {
        let mut buffers = readable.to_vec();
        let front = split_front(&mut buffers, IN_HEADER_BYTES as u64)?;
        let mut bytes = [0; IN_HEADER_BYTES];
        let mut rest = &mut bytes[..];
        for buffer in front {
            let length = usize::try_from(buffer.length).ok()?.min(rest.len());
            let (part, after) = std::mem::take(&mut rest).split_at_mut(length);
            memory.read_slice(part, buffer.address).ok()?;
            rest = after;
        }
        let [_, _, _, _, o0, o1, o2, o3, u0, u1, u2, u3, u4, u5, u6, u7, ..] = bytes;
        Some(Self {
            opcode: u32::from_le_bytes([o0, o1, o2, o3]),
            unique: u64::from_le_bytes([u0, u1, u2, u3, u4, u5, u6, u7]),
        })
    }

    /// Whether nobody waits for an answer.
    pub(super) fn has_no_answer(self) -> bool {
        matches!(self.opcode, FORGET | BATCH_FORGET)
    }

    /// Whether the request is one of those that a share serves. Locks are the guest kernel's own; there is no DAX window; and
    /// there is nothing to do at a close, since the guest holds no writes back (after one refusal Linux does not ask again).
    pub(super) fn is_served(self) -> bool {
        // LOOKUP to LINK, OPEN to STATFS, RELEASE, FSYNC to REMOVEXATTR, INIT to FSYNCDIR, CREATE, DESTROY, BATCH_FORGET, FALLOCATE to LSEEK.
        matches!(self.opcode, 1..=6 | 8..=18 | 20..=24 | 26..=30 | 35 | 38 | 42..=46)
    }
}

/// Writes an answer that is an error and nothing else; how many bytes.
pub(super) fn refuse(memory: &GuestRam, writable: &[Buffer], header: Option<Header>, errno: i32) -> u32 {
    let length = u32::try_from(OUT_HEADER_BYTES).unwrap_or(0);
    let unique = header.map_or(0, |header| header.unique);
    let mut answer = [0; OUT_HEADER_BYTES];
    let fields = length.to_le_bytes().into_iter().chain((-errno).to_le_bytes()).chain(unique.to_le_bytes());
    for (to, from) in answer.iter_mut().zip(fields) {
        *to = from;
    }
    if total_bytes(writable) < u64::from(length) {
        return 0;
    }
    let mut rest = &answer[..];
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
