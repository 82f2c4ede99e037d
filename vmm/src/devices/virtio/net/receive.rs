//! From the link to the guest.

use std::io;

use virtio_queue::{Queue, QueueT};

use super::MAX_FRAME_BYTES;
use super::header::{HEADER_BYTES, NUM_BUFFERS_OFFSET};
use super::link::Link;
use super::used::add_used;
use crate::devices::virtio::ring::{Buffer, RingError, buffers, next_chain, split_front, total_bytes};
use crate::memory::{Bytes, GuestRam};

/// Descriptors of one buffer.
const MAX_DESCRIPTORS: usize = 64;

/// What became of an attempt to hand a frame to the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// It has it, or there was none that it could take.
    Done {
        /// Of the frame, if there was one.
        bytes: usize,
    },
    /// The link has no frame.
    NoFrame,
    /// A frame waits until the guest has added more buffers.
    NoBuffers {
        /// The available ring's index up to which there were too few.
        seen: u16,
    },
}

/// A frame that was taken from the link.
pub(super) struct Receiver {
    frame: Box<[u8]>,
    /// Bytes of the frame that waits, with its header; 0 for none.
    waiting_bytes: usize,
    used: Vec<(u16, u32)>,
}

impl Default for Receiver {
    fn default() -> Self {
        let frame = vec![0; HEADER_BYTES + MAX_FRAME_BYTES].into_boxed_slice();
        Self { frame, waiting_bytes: 0, used: Vec::new() }
    }
}

impl Receiver {
    /// Moves one frame.
    ///
    /// # Errors
    /// The ring or a chain is broken.
    pub(super) fn receive(
        &mut self,
        queue: &mut Queue,
        memory: &GuestRam,
        mergeable: bool,
        link: &mut impl Link,
    ) -> Result<Received, RingError> {
        if self.waiting_bytes == 0 {
            match link.receive(&mut self.frame) {
                // Shorter than its own header: nothing that a link gives.
                Ok(count) if count <= HEADER_BYTES => return Ok(Received::Done { bytes: 0 }),
                Ok(count) => self.waiting_bytes = count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    return Ok(Received::Done { bytes: 0 });
                }
                // Nothing there, or its other end is gone: nothing comes any more then.
                Err(_) => return Ok(Received::NoFrame),
            }
        }
        let frame = self.frame.get_mut(..self.waiting_bytes).unwrap_or_default();
        let received = deliver(frame, queue, memory, mergeable, &mut self.used)?;
        if matches!(received, Received::Done { .. }) {
            self.waiting_bytes = 0;
        }
        Ok(received)
    }

    /// Forgets the frame that waits.
    pub(super) fn reset(&mut self) {
        self.waiting_bytes = 0;
    }
}

/// Copies a frame into as many of the guest's buffers as it takes. A frame that does not fit into the one buffer that it
/// may have is dropped.
fn deliver(
    frame: &mut [u8],
    queue: &mut Queue,
    memory: &GuestRam,
    mergeable: bool,
    used: &mut Vec<(u16, u32)>,
) -> Result<Received, RingError> {
    let begin = queue.next_avail();
    let mut rest: &[u8] = frame;
    let bytes = rest.len().saturating_sub(HEADER_BYTES);
    let mut num_buffers = None;
    used.clear();
    while !rest.is_empty() {
        let chain = if used.len() < usize::from(queue.size()) { next_chain(queue, memory)? } else { None };
        let Some(chain) = chain else {
            let seen = queue.next_avail();
            queue.set_next_avail(begin);
            return Ok(Received::NoBuffers { seen });
        };
        let head = chain.head_index();
        let mut room = buffers(chain, memory, MAX_DESCRIPTORS)?.writable;
        let room_bytes = total_bytes(&room);
        if room_bytes < HEADER_BYTES as u64 {
            return Err(RingError::NoAnswer);
        }
        if !mergeable && room_bytes < rest.len() as u64 {
            queue.set_next_avail(begin);
            return Ok(Received::Done { bytes: 0 });
        }
        if num_buffers.is_none() {
            num_buffers = place_of_num_buffers(&room);
        }
        let length = rest.len().min(usize::try_from(room_bytes).unwrap_or(usize::MAX));
        let (part, after) = rest.split_at(length);
        scatter(memory, split_front(&mut room, length as u64).unwrap_or_default(), part)?;
        rest = after;
        used.push((head, u32::try_from(length).unwrap_or(u32::MAX)));
    }
    let count = u16::try_from(used.len()).unwrap_or(u16::MAX).to_le_bytes();
    for (place, byte) in num_buffers.into_iter().flatten().zip(count) {
        scatter(memory, vec![place], &[byte])?;
    }
    add_used(queue, memory, used)?;
    Ok(Received::Done { bytes })
}

/// Where the two bytes of `num_buffers` lie in the first buffer, however the driver has cut it.
fn place_of_num_buffers(room: &[Buffer]) -> Option<[Buffer; 2]> {
    let mut room = room.to_vec();
    split_front(&mut room, NUM_BUFFERS_OFFSET)?;
    let low = split_front(&mut room, 1)?.into_iter().next()?;
    let high = split_front(&mut room, 1)?.into_iter().next()?;
    Some([low, high])
}

/// Copies `bytes` into buffers that are as long.
fn scatter(memory: &GuestRam, into: Vec<Buffer>, bytes: &[u8]) -> Result<(), RingError> {
    let mut rest = bytes;
    for buffer in into {
        let length = usize::try_from(buffer.length).unwrap_or(usize::MAX).min(rest.len());
        let (part, after) = rest.split_at(length);
        memory
            .write_slice(part, buffer.address)
            .map_err(|_| RingError::OutsideMemory { address: buffer.address.0, length: buffer.length })?;
        rest = after;
    }
    Ok(())
}
