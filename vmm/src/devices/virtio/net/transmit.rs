//! From the guest to the link.

use std::io;

use super::MAX_FRAME_BYTES;
use super::config::Offloads;
use super::header::{self, HEADER_BYTES};
use super::link::Link;
use crate::devices::virtio::ring::{Buffer, Chain, RingError, buffers, split_front, total_bytes};
use crate::memory::{Bytes, GuestRam};

/// Descriptors of one frame: Linux sends at most 19.
const MAX_DESCRIPTORS: usize = 64;

/// Sends the frame of a chain; its length in bytes. What is malformed in the frame, or cannot be sent now, is dropped as on
/// any wire.
///
/// # Errors
/// The chain itself is broken.
pub(super) fn send(
    chain: Chain<'_>,
    memory: &GuestRam,
    offloads: Offloads,
    link: &mut impl Link,
) -> Result<usize, RingError> {
    let mut body = buffers(chain, memory, MAX_DESCRIPTORS)?.readable;
    let Some(header) = split_front(&mut body, HEADER_BYTES as u64) else { return Ok(0) };
    let mut bytes = [0; HEADER_BYTES];
    gather(memory, &header, &mut bytes)?;
    let length = total_bytes(&body);
    let Some(header) = header::check(bytes, offloads) else { return Ok(0) };
    if length == 0 || length > MAX_FRAME_BYTES as u64 {
        return Ok(0);
    }
    if let Err(error) = link.send(memory, &header, &body)
        && error.kind() != io::ErrorKind::WouldBlock
    {
        tracing::trace!(%error, "a frame was dropped");
    }
    Ok(usize::try_from(length).unwrap_or(MAX_FRAME_BYTES))
}

/// Copies the buffers out; they are as long as `bytes`.
pub(super) fn gather(memory: &GuestRam, from: &[Buffer], bytes: &mut [u8]) -> Result<(), RingError> {
    let mut rest = bytes;
    for buffer in from {
        let length = usize::try_from(buffer.length).unwrap_or(usize::MAX).min(rest.len());
        let (part, after) = std::mem::take(&mut rest).split_at_mut(length);
        memory
            .read_slice(part, buffer.address)
            .map_err(|_| RingError::OutsideMemory { address: buffer.address.0, length: buffer.length })?;
        rest = after;
    }
    Ok(())
}
