//! The configuration space (virtio 1.2 section 5.11.4) and the sizes of the queues.

use holm_protocol::agent::SHARES_TAG;

/// Queue 0: requests that must not wait behind others. Linux sends what it forgets here.
pub(super) const HIGH_PRIORITY: usize = 0;
/// Queue 1: all other requests.
pub(super) const REQUESTS: usize = 1;
/// Largest size of each queue. Linux sends as many pages in one request as the queue has room for.
pub(super) const QUEUE_SIZES: [u16; 2] = [128, 512];
/// Most descriptors of a request; as many as a queue has.
pub(super) const MAX_DESCRIPTORS: usize = 512;

const TAG_BYTES: usize = 36;
const SPACE_BYTES: usize = TAG_BYTES + 4;

/// `struct virtio_fs_config`: the tag, filled up with zeroes, and the number of request queues.
pub(super) fn space() -> [u8; SPACE_BYTES] {
    let mut space = [0; SPACE_BYTES];
    let queues = 1_u32.to_le_bytes();
    let (tag, count) = space.split_at_mut(TAG_BYTES);
    for (to, from) in tag.iter_mut().zip(SHARES_TAG.bytes()) {
        *to = from;
    }
    for (to, from) in count.iter_mut().zip(queues) {
        *to = from;
    }
    space
}
