//! A packet's header, and the guest buffers that a packet lies in (virtio 1.2 section 5.10.6).
//!
//! Parsing is pure: a header is copied out of guest memory once and only the copy is judged. Virtio lets a driver cut a
//! packet into any number of descriptors (section 2.7.4), and Linux does so for large and zero-copy sends, so
//! [`Buffers`] makes no assumption about the cut. (The `virtio-vsock` crate's `VsockPacket` accepts at most two.)
//!
//! Trust: the guest wrote every byte and every descriptor.

use std::collections::VecDeque;

use crate::devices::virtio::ring::{self, Chain, RingError};
use crate::memory::{Bytes, GuestMemory, GuestRam, VolatileSlice};

/// Length of a header in bytes.
pub(super) const HEADER_BYTES: usize = 44;
/// Largest payload of one packet in bytes, either way; Linux sends no larger one.
pub(super) const MAX_PAYLOAD_BYTES: u32 = 64 << 10;
/// Most descriptors of one packet: as many as the largest queue has, which no chain may exceed.
const MAX_DESCRIPTORS: usize = 128;
/// The host's context id.
pub(super) const HOST_CID: u64 = 2;
/// VIRTIO_VSOCK_TYPE_STREAM, the only type that is offered.
pub(super) const TYPE_STREAM: u16 = 1;

/// VIRTIO_VSOCK_OP_*.
pub(super) mod op {
    pub(in super::super) const REQUEST: u16 = 1;
    pub(in super::super) const RESPONSE: u16 = 2;
    pub(in super::super) const RST: u16 = 3;
    pub(in super::super) const SHUTDOWN: u16 = 4;
    pub(in super::super) const RW: u16 = 5;
    pub(in super::super) const CREDIT_UPDATE: u16 = 6;
    pub(in super::super) const CREDIT_REQUEST: u16 = 7;
}

/// VIRTIO_VSOCK_SHUTDOWN_RCV: the sender of the packet will receive no more.
pub(super) const SHUTDOWN_RCV: u32 = 1;
/// VIRTIO_VSOCK_SHUTDOWN_SEND: the sender of the packet will send no more.
pub(super) const SHUTDOWN_SEND: u32 = 2;

/// `struct virtio_vsock_hdr`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) src_cid: u64,
    pub(super) dst_cid: u64,
    pub(super) src_port: u32,
    pub(super) dst_port: u32,
    /// Length of the payload in bytes.
    pub(super) len: u32,
    pub(super) kind: u16,
    pub(super) op: u16,
    pub(super) flags: u32,
    /// The sender's receive buffer in bytes.
    pub(super) buf_alloc: u32,
    /// Bytes that left the sender's receive buffer so far, wrapping.
    pub(super) fwd_cnt: u32,
}

impl Header {
    /// Reads the little-endian fields; any 44 bytes are a header.
    pub(super) fn parse(bytes: &[u8; HEADER_BYTES]) -> Self {
        let mut rest = bytes.as_slice();
        Self {
            src_cid: u64::from_le_bytes(take(&mut rest)),
            dst_cid: u64::from_le_bytes(take(&mut rest)),
            src_port: u32::from_le_bytes(take(&mut rest)),
            dst_port: u32::from_le_bytes(take(&mut rest)),
            len: u32::from_le_bytes(take(&mut rest)),
            kind: u16::from_le_bytes(take(&mut rest)),
            op: u16::from_le_bytes(take(&mut rest)),
            flags: u32::from_le_bytes(take(&mut rest)),
            buf_alloc: u32::from_le_bytes(take(&mut rest)),
            fwd_cnt: u32::from_le_bytes(take(&mut rest)),
        }
    }

    /// The bytes that [`Self::parse`] reads.
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let fields = (self.src_cid.to_le_bytes().into_iter())
            .chain(self.dst_cid.to_le_bytes())
            .chain(self.src_port.to_le_bytes())
            .chain(self.dst_port.to_le_bytes())
            .chain(self.len.to_le_bytes())
            .chain(self.kind.to_le_bytes())
            .chain(self.op.to_le_bytes())
            .chain(self.flags.to_le_bytes())
            .chain(self.buf_alloc.to_le_bytes())
            .chain(self.fwd_cnt.to_le_bytes());
        bytes.iter_mut().zip(fields).for_each(|(byte, value)| *byte = value);
        bytes
    }

    /// The refusal of this packet: a RST from where it was sent to. Of its type, or Linux would not match it.
    pub(super) fn refusal(&self) -> Self {
        Self {
            src_cid: self.dst_cid,
            dst_cid: self.src_cid,
            src_port: self.dst_port,
            dst_port: self.src_port,
            kind: self.kind,
            op: op::RST,
            ..Self::default()
        }
    }
}

/// The next `N` bytes; zeroes beyond the end, which a header's fields never reach.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    match rest.split_first_chunk() {
        Some((field, tail)) => {
            *rest = tail;
            *field
        }
        None => [0; N],
    }
}

/// Why a descriptor chain cannot hold a packet. The driver is broken: the device asks for a reset.
#[derive(Debug, thiserror::Error)]
pub(super) enum BrokenPacket {
    /// The ring or the chain is broken.
    #[error("no chain")]
    Ring(#[from] RingError),
    /// Writable where the device reads, or the other way round.
    #[error("a buffer has the wrong direction")]
    Direction,
    /// Not enough room.
    #[error("a chain of {0} bytes is too short")]
    TooShort(usize),
}

/// Who writes a chain's buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// The tx queue: the driver filled them.
    FromGuest,
    /// The rx queue: the device fills them.
    ToGuest,
}

/// One chain's buffers laid end to end: a header and a payload.
#[derive(Debug)]
pub(super) struct Buffers<'m> {
    slices: Vec<VolatileSlice<'m>>,
    bytes: usize,
}

impl<'m> Buffers<'m> {
    /// Checks every descriptor of the chain, of which there may be [`MAX_DESCRIPTORS`], and that there are `least` bytes.
    pub(super) fn collect(
        memory: &'m GuestRam,
        chain: Chain<'_>,
        direction: Direction,
        least: usize,
    ) -> Result<Self, BrokenPacket> {
        let ring::Buffers { readable, writable } = ring::buffers(chain, memory, MAX_DESCRIPTORS)?;
        let (wanted, others) = match direction {
            Direction::FromGuest => (readable, writable),
            Direction::ToGuest => (writable, readable),
        };
        if !others.is_empty() {
            return Err(BrokenPacket::Direction);
        }
        let mut buffers = Self { slices: Vec::with_capacity(wanted.len()), bytes: 0 };
        for ring::Buffer { address, length } in wanted {
            let outside = || RingError::OutsideMemory { address: address.0, length };
            let bytes = usize::try_from(length).map_err(|_| outside())?;
            for slice in memory.get_slices(address, bytes) {
                buffers.slices.push(slice.map_err(|_| outside())?);
            }
            buffers.bytes = buffers.bytes.saturating_add(bytes);
        }
        if buffers.bytes < least {
            return Err(BrokenPacket::TooShort(buffers.bytes));
        }
        Ok(buffers)
    }

    /// Room for a payload, in bytes.
    pub(super) fn payload_bytes(&self) -> u32 {
        u32::try_from(self.bytes.saturating_sub(HEADER_BYTES)).unwrap_or(u32::MAX)
    }

    /// Copies the header out, once.
    pub(super) fn read_header(&self) -> Header {
        let mut bytes = [0; HEADER_BYTES];
        let mut rest = bytes.as_mut_slice();
        for slice in self.range(0, HEADER_BYTES) {
            let (now, later) = rest.split_at_mut(slice.len().min(rest.len()));
            slice.copy_to(now);
            rest = later;
        }
        Header::parse(&bytes)
    }

    /// Copies `bytes` to the beginning: an encoded header or an event.
    pub(super) fn write(&self, bytes: &[u8]) {
        let mut rest = bytes;
        for slice in self.range(0, bytes.len()) {
            let (now, later) = rest.split_at(slice.len().min(rest.len()));
            slice.copy_from(now);
            rest = later;
        }
    }

    /// The first `bytes` of the payload, piece by piece; no piece is empty.
    pub(super) fn payload(&self, bytes: u32) -> impl Iterator<Item = VolatileSlice<'m>> + '_ {
        self.range(HEADER_BYTES, usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    fn range(&self, skip: usize, take: usize) -> impl Iterator<Item = VolatileSlice<'m>> + '_ {
        let (mut skip, mut take) = (skip, take);
        self.slices.iter().filter_map(move |slice| {
            let begin = skip.min(slice.len());
            skip -= begin;
            let bytes = take.min(slice.len() - begin);
            take -= bytes;
            // Within the slice by the two lines above, so `ok` drops no error.
            if bytes == 0 { None } else { slice.subslice(begin, bytes).ok() }
        })
    }
}

/// Appends the payload `slice` to `buffer`.
pub(super) fn append(buffer: &mut VecDeque<u8>, slice: &VolatileSlice<'_>) {
    let mut chunk = [0; 4096];
    let mut at = 0;
    while let Ok(read @ 1..) = slice.read(&mut chunk, at) {
        buffer.extend(chunk.get(..read).unwrap_or_default());
        at += read;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_lie_where_the_specification_puts_them() {
        let bytes: [u8; HEADER_BYTES] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let header = Header::parse(&bytes);
        assert_eq!(header.src_cid, 0x0706_0504_0302_0100);
        assert_eq!(header.dst_cid, 0x0f0e_0d0c_0b0a_0908);
        assert_eq!((header.src_port, header.dst_port), (0x1312_1110, 0x1716_1514));
        assert_eq!((header.len, header.kind, header.op), (0x1b1a_1918, 0x1d1c, 0x1f1e));
        assert_eq!((header.flags, header.buf_alloc, header.fwd_cnt), (0x2322_2120, 0x2726_2524, 0x2b2a_2928));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_header_and_come_back(bytes in prop::array::uniform32(any::<u8>()), tail in prop::array::uniform12(any::<u8>())) {
            let mut whole = [0; HEADER_BYTES];
            whole[..32].copy_from_slice(&bytes);
            whole[32..].copy_from_slice(&tail);
            prop_assert_eq!(Header::parse(&whole).encode(), whole);
        }
    }
}
