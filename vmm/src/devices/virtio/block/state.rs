//! What is saved of a block device.

use serde::{Deserialize, Serialize};

use crate::devices::virtio::saved_queue::SavedQueue;

/// The device beside its transport and its files, which the configuration names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockState {
    /// The disk's id: a restored device must be given the same disk.
    pub id: String,
    /// The disk's length: a driver that saw it relies on it.
    pub length_bytes: u64,
    /// The queue, if the device is active.
    pub queue: Option<SavedQueue>,
    /// Whether the driver relies on every write being stable at once.
    pub write_through: bool,
}
