//! A queue as it is saved: `virtio-queue`'s state with a serialised form.

use serde::{Deserialize, Serialize};
use virtio_queue::{Queue, QueueState};

/// Where device and driver are in one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedQueue {
    /// Most descriptors.
    pub max_size: u16,
    /// Descriptors chosen by the driver.
    pub size: u16,
    /// Whether the driver uses it.
    pub ready: bool,
    /// Whether EVENT_IDX was negotiated.
    pub event_idx: bool,
    /// Next entry of the available ring to be taken.
    pub next_available: u16,
    /// Next entry of the used ring to be written.
    pub next_used: u16,
    /// Guest physical address of the descriptor table.
    pub descriptors: u64,
    /// Guest physical address of the available ring.
    pub available: u64,
    /// Guest physical address of the used ring.
    pub used: u64,
}

impl From<&Queue> for SavedQueue {
    fn from(queue: &Queue) -> Self {
        let state = queue.state();
        Self {
            max_size: state.max_size,
            size: state.size,
            ready: state.ready,
            event_idx: state.event_idx_enabled,
            next_available: state.next_avail,
            next_used: state.next_used,
            descriptors: state.desc_table,
            available: state.avail_ring,
            used: state.used_ring,
        }
    }
}

impl TryFrom<&SavedQueue> for Queue {
    type Error = virtio_queue::Error;

    fn try_from(saved: &SavedQueue) -> Result<Self, Self::Error> {
        Self::try_from(QueueState {
            max_size: saved.max_size,
            next_avail: saved.next_available,
            next_used: saved.next_used,
            event_idx_enabled: saved.event_idx,
            size: saved.size,
            ready: saved.ready,
            desc_table: saved.descriptors,
            avail_ring: saved.available,
            used_ring: saved.used,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_survives_saving() {
        let queue = Queue::try_from(QueueState {
            max_size: 256,
            size: 128,
            ready: true,
            next_avail: 7,
            next_used: 5,
            event_idx_enabled: true,
            desc_table: 0x1000,
            avail_ring: 0x2000,
            used_ring: 0x3000,
        })
        .unwrap();
        let json = serde_json::to_string(&SavedQueue::from(&queue)).unwrap();
        let saved: SavedQueue = serde_json::from_str(&json).unwrap();
        assert_eq!(Queue::try_from(&saved).unwrap(), queue);
    }
}
