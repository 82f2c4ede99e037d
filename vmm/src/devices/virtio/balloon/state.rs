//! What is saved of a balloon device.

use serde::{Deserialize, Serialize};

use crate::devices::virtio::saved_queue::SavedQueue;

/// The device beside its transport.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalloonState {
    /// Inflate, deflate and reporting queue, those that the driver uses; empty if the device is not active.
    pub queues: Vec<Option<SavedQueue>>,
}
