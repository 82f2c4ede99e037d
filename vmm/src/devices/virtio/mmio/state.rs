//! Everything that a driver has told its transport: plain data, ready to be saved.

use serde::{Deserialize, Serialize};

/// The driver's side of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransportState {
    /// The status register without the device's own bit.
    pub status: u32,
    /// Which half of the offer DeviceFeatures shows.
    pub device_features_select: u32,
    /// Which half of the choice DriverFeatures takes.
    pub driver_features_select: u32,
    /// The driver's choice.
    pub driver_features: u64,
    /// Which queue the queue registers are about.
    pub queue_select: u32,
    /// Each queue as it was set up.
    pub queues: Vec<QueueSetup>,
}

/// One queue as the driver has described it; nothing of it is checked before the driver is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueSetup {
    /// Number of descriptors.
    pub size: u32,
    /// Whether the driver wants to use it.
    pub ready: bool,
    /// Guest physical address of the descriptor table.
    pub descriptors: u64,
    /// Guest physical address of the driver's (available) ring.
    pub driver: u64,
    /// Guest physical address of the device's (used) ring.
    pub device: u64,
}

impl TransportState {
    /// As after a reset, with one queue per entry of `max_sizes`.
    #[must_use]
    pub fn new(max_sizes: &[u16]) -> Self {
        let queue = |&size: &u16| QueueSetup {
            size: size.into(),
            ready: false,
            descriptors: 0,
            driver: 0,
            device: 0,
        };
        Self { queues: max_sizes.iter().map(queue).collect(), ..Self::default() }
    }

    /// The selected queue, if it exists.
    #[must_use]
    pub fn queue(&self) -> Option<&QueueSetup> {
        self.queues.get(usize::try_from(self.queue_select).ok()?)
    }

    /// The selected queue, if it exists.
    pub fn queue_mut(&mut self) -> Option<&mut QueueSetup> {
        self.queues.get_mut(usize::try_from(self.queue_select).ok()?)
    }
}
