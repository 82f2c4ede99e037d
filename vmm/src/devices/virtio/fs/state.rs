//! What is saved of a file system device.

use serde::{Deserialize, Serialize};

use crate::devices::virtio::saved_queue::SavedQueue;

/// The device beside its transport. What the guest knows of the host's files (its inode numbers and open files) is not part
/// of it: it stands for open files of this process. So a VM can be saved before its first request, or after the guest
/// has unmounted, and not in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FsState {
    /// The queues, if the device is active.
    pub queues: Option<[SavedQueue; 2]>,
    /// Whether the guest has sent a request since it was activated, so that the state is not all there is.
    pub in_use: bool,
}
