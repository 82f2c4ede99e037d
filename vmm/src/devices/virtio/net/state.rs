//! What is saved of a network device.

use serde::{Deserialize, Serialize};

use crate::devices::virtio::saved_queue::SavedQueue;

/// The device beside its transport and its link. A frame that waits for a buffer is lost, as on any wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetState {
    /// The address that the driver saw.
    pub mac: [u8; 6],
    /// The MTU that the driver saw.
    pub mtu: u16,
    /// The features that were negotiated, if the device is active.
    pub features: Option<u64>,
    /// Pairs of queues that it has.
    pub pairs: u16,
    /// Receive and transmit queue of each pair, then the control queue of a device of several; `None` for those that the driver
    /// leaves unused. Empty while the device is not active.
    pub queues: Vec<Option<SavedQueue>>,
}
