//! What is saved of an entropy device.

use serde::{Deserialize, Serialize};

use crate::devices::virtio::saved_queue::SavedQueue;

/// The device beside its transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RngState {
    /// The queue, if the device is active.
    pub queue: Option<SavedQueue>,
}
