//! A descriptor chain to a complete, checked request (virtio 1.2 section 5.2.6).
//!
//! Header, data and status may be cut into descriptors anywhere (section 2.7.4). Everything is read from guest memory
//! once and checked here, before anything is done; what cannot be done has its answer already.

use virtio_bindings::virtio_blk::{
    VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_OK, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_FLUSH,
    VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_WRITE_ZEROES,
};

use super::config::{MAX_RANGE_SECTORS, MAX_RANGES};
use crate::devices::virtio::ring::{Buffer, Buffers, RingError, split_front, total_bytes};
use crate::memory::{Bytes, GuestAddress, GuestRam};

const SECTOR_BYTES: u64 = holm_protocol::vm_config::SECTOR_BYTES;
const HEADER_BYTES: usize = 16;
const RANGE_BYTES: usize = 16;
/// `VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP`
const FLAG_UNMAP: u32 = 1;

/// The status byte that ends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    IoError,
    Unsupported,
}

impl Status {
    pub(super) fn byte(self) -> u8 {
        let value = match self {
            Self::Ok => VIRTIO_BLK_S_OK,
            Self::IoError => VIRTIO_BLK_S_IOERR,
            Self::Unsupported => VIRTIO_BLK_S_UNSUPP,
        };
        value.to_le_bytes()[0]
    }
}

/// What of the disk a request is checked against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) length_bytes: u64,
    pub(super) read_only: bool,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Read { offset_bytes: u64, into: Vec<Buffer> },
    Write { offset_bytes: u64, from: Vec<Buffer> },
    Flush,
    Discard(Vec<Range>),
    WriteZeroes(Vec<Range>),
    GetId { into: Vec<Buffer> },
}

/// A part of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) offset_bytes: u64,
    pub(super) length_bytes: u64,
    pub(super) unmap: bool,
}

/// A request and where its answer goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parsed {
    /// What to do, or the answer to a request that cannot be done.
    pub(super) request: Result<Request, Status>,
    /// The status byte's place.
    pub(super) answer: GuestAddress,
}

/// Parses a chain's buffers.
///
/// # Errors
/// There is no place for an answer, so the request cannot even be refused.
pub(super) fn parse(memory: &GuestRam, buffers: Buffers, shape: Shape) -> Result<Parsed, RingError> {
    let Buffers { mut readable, mut writable } = buffers;
    let room = total_bytes(&writable).checked_sub(1).ok_or(RingError::NoAnswer)?;
    let into = split_front(&mut writable, room).ok_or(RingError::NoAnswer)?;
    let answer = writable.iter().find(|b| b.length > 0).ok_or(RingError::NoAnswer)?.address;
    let request = match split_front(&mut readable, HEADER_BYTES as u64) {
        Some(header) => request(memory, &header, readable, into, shape),
        None => Err(Status::IoError),
    };
    Ok(Parsed { request, answer })
}

fn request(
    memory: &GuestRam,
    header: &[Buffer],
    from: Vec<Buffer>,
    into: Vec<Buffer>,
    shape: Shape,
) -> Result<Request, Status> {
    let header: [u8; HEADER_BYTES] = gather(memory, header)?;
    let [k0, k1, k2, k3, _, _, _, _, sector @ ..] = header;
    let sector = u64::from_le_bytes(sector);
    let writes = |request| if shape.read_only { Err(Status::IoError) } else { Ok(request) };
    match u32::from_le_bytes([k0, k1, k2, k3]) {
        VIRTIO_BLK_T_IN => Ok(Request::Read { offset_bytes: span(sector, total_bytes(&into), shape)?, into }),
        VIRTIO_BLK_T_OUT => {
            writes(Request::Write { offset_bytes: span(sector, total_bytes(&from), shape)?, from })
        }
        VIRTIO_BLK_T_FLUSH => writes(Request::Flush),
        VIRTIO_BLK_T_DISCARD => writes(Request::Discard(ranges(memory, from, shape, 0)?)),
        VIRTIO_BLK_T_WRITE_ZEROES => writes(Request::WriteZeroes(ranges(memory, from, shape, FLAG_UNMAP)?)),
        VIRTIO_BLK_T_GET_ID => Ok(Request::GetId { into }),
        _ => Err(Status::Unsupported),
    }
}

/// The first byte of a run of whole sectors that lies on the disk.
fn span(sector: u64, length_bytes: u64, shape: Shape) -> Result<u64, Status> {
    let offset_bytes = sector.checked_mul(SECTOR_BYTES).ok_or(Status::IoError)?;
    let end_bytes = offset_bytes.checked_add(length_bytes).ok_or(Status::IoError)?;
    if !length_bytes.is_multiple_of(SECTOR_BYTES) || end_bytes > shape.length_bytes {
        return Err(Status::IoError);
    }
    Ok(offset_bytes)
}

/// `struct virtio_blk_discard_write_zeroes` entries; flags beyond `allowed_flags` are not supported.
fn ranges(
    memory: &GuestRam,
    mut from: Vec<Buffer>,
    shape: Shape,
    allowed_flags: u32,
) -> Result<Vec<Range>, Status> {
    let bytes = total_bytes(&from);
    if bytes == 0 || !bytes.is_multiple_of(RANGE_BYTES as u64) || bytes > (MAX_RANGES * RANGE_BYTES) as u64 {
        return Err(Status::IoError);
    }
    let mut ranges = Vec::new();
    while let Some(entry) = split_front(&mut from, RANGE_BYTES as u64) {
        let entry: [u8; RANGE_BYTES] = gather(memory, &entry)?;
        let [s0, s1, s2, s3, s4, s5, s6, s7, n0, n1, n2, n3, flags @ ..] = entry;
        let sector = u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
        let sectors = u32::from_le_bytes([n0, n1, n2, n3]);
        let flags = u32::from_le_bytes(flags);
        if flags & !allowed_flags != 0 {
            return Err(Status::Unsupported);
        }
        if sectors > MAX_RANGE_SECTORS {
            return Err(Status::IoError);
        }
        let length_bytes = u64::from(sectors) * SECTOR_BYTES;
        let offset_bytes = span(sector, length_bytes, shape)?;
        if length_bytes > 0 {
            ranges.push(Range { offset_bytes, length_bytes, unmap: flags & FLAG_UNMAP != 0 });
        }
    }
    Ok(ranges)
}

/// Reads buffers of `N` bytes together.
fn gather<const N: usize>(memory: &GuestRam, buffers: &[Buffer]) -> Result<[u8; N], Status> {
    let mut bytes = [0; N];
    let mut rest = &mut bytes[..];
    for buffer in buffers {
        let length = usize::try_from(buffer.length).unwrap_or(usize::MAX).min(rest.len());
        let (part, after) = std::mem::take(&mut rest).split_at_mut(length);
        memory.read_slice(part, buffer.address).map_err(|_| Status::IoError)?;
        rest = after;
    }
    Ok(bytes)
}
