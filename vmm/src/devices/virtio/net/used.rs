//! Used buffers that the driver must see all at once (virtio 1.2 section 5.1.6.4.1): a frame that was merged from several.
//!
//! `Queue::add_used` publishes each buffer by itself. A driver that polls on another CPU would see the first ones of a frame
//! and take the others for lost.

use std::num::Wrapping;
use std::sync::atomic::{Ordering, fence};

use virtio_queue::{Queue, QueueT};

use crate::devices::virtio::ring::RingError;
use crate::memory::{Address, Bytes, GuestAddress, GuestRam};

const RING_HEADER_BYTES: u64 = 4;
const USED_ELEMENT_BYTES: u64 = 8;
const AVAILABLE_ELEMENT_BYTES: u64 = 2;

/// Publishes the buffers (head, bytes written) together.
pub(super) fn add_used(queue: &mut Queue, memory: &GuestRam, used: &[(u16, u32)]) -> Result<(), RingError> {
    let ring = GuestAddress(queue.used_ring());
    let mut next = Wrapping(queue.next_used());
    for &(head, length) in used {
        let slot = u64::from(next.0 % queue.size().max(1));
        let address = at(ring, RING_HEADER_BYTES + slot * USED_ELEMENT_BYTES)?;
        let [a, b] = head.to_le_bytes();
        let [c, d, e, f] = length.to_le_bytes();
        memory.write_slice(&[a, b, 0, 0, c, d, e, f], address).map_err(virtio_queue::Error::GuestMemory)?;
        next += 1;
    }
    memory
        .store(next.0.to_le(), at(ring, 2)?, Ordering::Release)
        .map_err(virtio_queue::Error::GuestMemory)?;
    queue.set_next_used(next.0);
    Ok(())
}

/// Whether the driver wants to hear of the buffers that were used since `since` (section 2.7.10.1).
pub(super) fn needs_interrupt(queue: &Queue, memory: &GuestRam, since: u16) -> Result<bool, RingError> {
    if queue.next_used() == since {
        return Ok(false);
    }
    if !queue.event_idx_enabled() {
        return Ok(true);
    }
    // What was published must be seen before the driver's wish is read.
    fence(Ordering::SeqCst);
    let event = at(
        GuestAddress(queue.avail_ring()),
        RING_HEADER_BYTES + u64::from(queue.size()) * AVAILABLE_ELEMENT_BYTES,
    )?;
    let event: u16 = memory.load(event, Ordering::Relaxed).map_err(virtio_queue::Error::GuestMemory)?;
    let next = Wrapping(queue.next_used());
    Ok(next - Wrapping(u16::from_le(event)) - Wrapping(1) < next - Wrapping(since))
}

fn at(base: GuestAddress, offset_bytes: u64) -> Result<GuestAddress, RingError> {
    base.checked_add(offset_bytes).ok_or(RingError::Queue(virtio_queue::Error::AddressOverflow))
}
