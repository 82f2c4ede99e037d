//! Taking descriptor chains from a queue without believing anything about them.
//!
//! `virtio-queue` bounds the work (a chain ends after as many descriptors as its table has, an indirect table holds no
//! other one) but ends a broken chain silently; here a broken chain is an error, and its device asks for a reset.

use std::sync::atomic::Ordering;

use virtio_bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::virtio_ring::{VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC};
use virtio_queue::{DescriptorChain, Queue, QueueOwnedT, QueueT};

use crate::memory::{GuestAddress, GuestMemory, GuestRam};

/// Features of the ring that every device offers.
pub const RING_FEATURES: u64 =
    1 << VIRTIO_F_VERSION_1 | 1 << VIRTIO_RING_F_INDIRECT_DESC | 1 << VIRTIO_RING_F_EVENT_IDX;

/// A descriptor chain whose memory was found to be the guest's.
pub type Chain<'m> = DescriptorChain<&'m GuestRam>;

/// A driver that broke the rules of the ring (virtio 1.2 section 2.7).
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The ring itself is unusable.
    #[error("the ring is broken")]
    Queue(#[from] virtio_queue::Error),
    /// A head could not be read although the ring has one.
    #[error("the available ring cannot be read")]
    Unreadable,
    /// A chain has no end, or points to a table or a descriptor that does not exist.
    #[error("a descriptor chain is broken")]
    BrokenChain,
    /// A chain is longer than the device allows.
    #[error("a descriptor chain has more than {0} descriptors")]
    ChainTooLong(usize),
    /// A descriptor lies outside guest memory.
    #[error("a descriptor of {length} bytes at {address:#x} lies outside guest memory")]
    OutsideMemory {
        /// Its guest physical address.
        address: u64,
        /// Its length in bytes.
        length: u32,
    },
    /// A readable descriptor follows a writable one.
    #[error("a readable descriptor follows a writable one")]
    Order,
    /// A chain lacks a part that the device cannot answer without.
    #[error("a descriptor chain has no room for an answer")]
    NoAnswer,
}

/// One buffer of a chain: guest memory that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Its first byte.
    pub address: GuestAddress,
    /// Its length in bytes.
    pub length: u32,
}

/// A whole chain: what the device reads, then what it writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buffers {
    /// For the device to read.
    pub readable: Vec<Buffer>,
    /// For the device to write.
    pub writable: Vec<Buffer>,
}

/// The next chain that the driver has made available, if any.
///
/// # Errors
/// The ring is broken.
pub fn next_chain<'m>(queue: &mut Queue, memory: &'m GuestRam) -> Result<Option<Chain<'m>>, RingError> {
    // Looked at once, before: the driver may add a chain at any moment, also while this runs.
    if queue.avail_idx(memory, Ordering::Acquire)?.0 == queue.next_avail() {
        return Ok(None);
    }
    queue.iter(memory)?.next().map(Some).ok_or(RingError::Unreadable)
}

/// All buffers of a chain of at most `max` descriptors.
///
/// # Errors
/// The chain is broken, too long, out of order, or points outside guest memory.
pub fn buffers(chain: Chain<'_>, memory: &GuestRam, max: usize) -> Result<Buffers, RingError> {
    let mut buffers = Buffers::default();
    let mut more = true;
    for descriptor in chain {
        if buffers.readable.len() + buffers.writable.len() == max {
            return Err(RingError::ChainTooLong(max));
        }
        let buffer = Buffer { address: descriptor.addr(), length: descriptor.len() };
        if !lies_in(memory, &buffer) {
            return Err(RingError::OutsideMemory { address: buffer.address.0, length: buffer.length });
        }
        if descriptor.is_write_only() {
            buffers.writable.push(buffer);
        } else if buffers.writable.is_empty() {
            buffers.readable.push(buffer);
        } else {
            return Err(RingError::Order);
        }
        more = descriptor.has_next();
    }
    if more { Err(RingError::BrokenChain) } else { Ok(buffers) }
}

fn lies_in(memory: &GuestRam, buffer: &Buffer) -> bool {
    // An empty buffer has no bytes that could lie anywhere.
    usize::try_from(buffer.length)
        .is_ok_and(|length| length == 0 || memory.check_range(buffer.address, length))
}

/// Takes the first `count` bytes off `buffers`; `None`, and nothing taken, if there are fewer.
pub fn split_front(buffers: &mut Vec<Buffer>, count: u64) -> Option<Vec<Buffer>> {
    if total_bytes(buffers) < count {
        return None;
    }
    let mut front = Vec::new();
    let mut rest = Vec::with_capacity(buffers.len());
    let mut wanted = count;
    for buffer in buffers.drain(..) {
        let taken = wanted.min(u64::from(buffer.length));
        let taken_bytes = u32::try_from(taken).unwrap_or(buffer.length);
        if taken_bytes > 0 {
            front.push(Buffer { address: buffer.address, length: taken_bytes });
        }
        if taken_bytes < buffer.length {
            // Cannot overflow: the buffer lies in guest memory as a whole.
            let address = GuestAddress(buffer.address.0.wrapping_add(taken));
            rest.push(Buffer { address, length: buffer.length - taken_bytes });
        }
        wanted -= taken;
    }
    *buffers = rest;
    Some(front)
}

/// Length of all buffers together.
#[must_use]
pub fn total_bytes(buffers: &[Buffer]) -> u64 {
    // At most 65535 descriptors of less than 4 GiB each.
    buffers.iter().map(|b| u64::from(b.length)).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU16};

    use virtio_queue::desc::RawDescriptor;
    use virtio_queue::desc::split::Descriptor;
    use virtio_queue::mock::MockSplitQueue;

    use super::*;
    use crate::memory::{self, Bytes};

    const NEXT: u16 = 1;
    const WRITE: u16 = 2;
    const INDIRECT: u16 = 4;

    fn ram() -> GuestRam {
        memory::allocate(64).unwrap()
    }

    /// What `buffers` says of a chain of these (address, length, flags, next).
    fn check(descriptors: &[(u64, u32, u16, u16)]) -> Result<Buffers, RingError> {
        let memory = ram();
        let queue = MockSplitQueue::new(&memory, 16);
        for (index, &(address, length, flags, next)) in descriptors.iter().enumerate() {
            let descriptor = Descriptor::new(address, length, flags, next);
            let index = u16::try_from(index).unwrap();
            queue.desc_table().store(index, RawDescriptor::from(descriptor)).unwrap();
        }
        queue.avail().ring().ref_at(0).unwrap().store(0);
        queue.avail().idx().store(1);
        let mut device_side: Queue = queue.create_queue().unwrap();
        let chain = next_chain(&mut device_side, &memory)?.unwrap();
        buffers(chain, &memory, 8)
    }

    #[test]
    fn a_sound_chain_keeps_its_order() {
        let found =
            check(&[(0x10_0000, 16, NEXT, 1), (0x20_0000, 0, NEXT, 2), (0x30_0000, 1, WRITE, 0)]).unwrap();
        assert_eq!(found.readable.len(), 2);
        assert_eq!(found.writable, [Buffer { address: GuestAddress(0x30_0000), length: 1 }]);
    }

    #[test]
    fn hostile_chains_are_refused() {
        // A loop, a pointer behind the table, memory's end crossed, address overflow, wrong order.
        assert!(matches!(
            check(&[(0x10_0000, 1, NEXT, 1), (0x10_0000, 1, NEXT, 0)]),
            Err(RingError::ChainTooLong(8))
        ));
        assert!(matches!(check(&[(0x10_0000, 1, NEXT, 16)]), Err(RingError::BrokenChain)));
        assert!(matches!(check(&[((64 << 20) - 1, 2, 0, 0)]), Err(RingError::OutsideMemory { .. })));
        assert!(matches!(check(&[(u64::MAX, 2, WRITE, 0)]), Err(RingError::OutsideMemory { .. })));
        assert!(matches!(
            check(&[(0x10_0000, 1, NEXT | WRITE, 1), (0x10_0000, 1, 0, 0)]),
            Err(RingError::Order)
        ));
    }

    #[test]
    fn hostile_indirect_tables_are_refused() {
        // Nested (the table is the ring's own, whose first entry is indirect), odd length, outside memory, empty.
        assert!(matches!(check(&[(0, 256, INDIRECT, 0)]), Err(RingError::BrokenChain)));
        assert!(matches!(check(&[(0x10_0000, 17, INDIRECT, 0)]), Err(RingError::BrokenChain)));
        assert!(matches!(check(&[(u64::MAX - 7, 16, INDIRECT, 0)]), Err(RingError::BrokenChain)));
        assert!(matches!(check(&[(0x10_0000, 0, INDIRECT, 0)]), Err(RingError::BrokenChain)));
    }

    #[test]
    fn chains_that_are_added_meanwhile_are_no_error() {
        let memory = ram();
        let ring = MockSplitQueue::new(&memory, 16);
        let mut queue: Queue = ring.create_queue().unwrap();
        let index = GuestAddress(queue.avail_ring() + 2);
        let (taken, failed) = (AtomicU16::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for added in 1..=5000_u16 {
                    while added.wrapping_sub(taken.load(Ordering::Acquire)) > 1 {
                        if failed.load(Ordering::Acquire) {
                            return;
                        }
                        std::thread::yield_now();
                    }
                    memory.store(added, index, Ordering::Release).unwrap();
                }
            });
            while queue.next_avail() < 5000 && !failed.load(Ordering::Acquire) {
                failed.store(next_chain(&mut queue, &memory).is_err(), Ordering::Release);
                taken.store(queue.next_avail(), Ordering::Release);
            }
        });
        assert_eq!(queue.next_avail(), 5000);
    }

    #[test]
    fn an_available_index_that_jumps_is_refused() {
        let memory = ram();
        let queue = MockSplitQueue::new(&memory, 16);
        queue.avail().idx().store(17);
        let mut device_side: Queue = queue.create_queue().unwrap();
        assert!(matches!(
            next_chain(&mut device_side, &memory),
            Err(RingError::Queue(virtio_queue::Error::InvalidAvailRingIndex))
        ));
    }

    #[test]
    fn splitting_cuts_within_a_buffer() {
        let buffer = |address, length| Buffer { address: GuestAddress(address), length };
        let mut rest = vec![buffer(0x1000, 10), buffer(0x2000, 10)];
        assert_eq!(split_front(&mut rest, 21), None);
        assert_eq!(split_front(&mut rest, 16), Some(vec![buffer(0x1000, 10), buffer(0x2000, 6)]));
        assert_eq!(rest, [buffer(0x2006, 4)]);
        assert_eq!(split_front(&mut rest, 4), Some(vec![buffer(0x2006, 4)]));
        assert_eq!(rest, []);
    }
}
