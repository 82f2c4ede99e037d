//! What a snapshot keeps of the device: plain data, no descriptor, no thread.
//!
//! Connections are not kept: their other ends are programs of a host that may be long gone. A restored device tells the
//! guest with a TRANSPORT_RESET event, and the guest's driver resets all of its connections (virtio 1.2 section
//! 5.10.6.7).

use serde::{Deserialize, Serialize};

use crate::devices::virtio::saved_queue::SavedQueue;

/// The device beside its transport.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VsockState {
    /// rx, tx and event queue, if the device is active.
    pub queues: Option<[SavedQueue; 3]>,
    /// The context id that the guest has used so far. The restored device may have another.
    pub guest_cid: u32,
    /// The port that the host's next call comes from.
    pub next_host_port: u32,
}
