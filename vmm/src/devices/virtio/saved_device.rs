//! A device at rest: what its driver told the transport, what the transport has to tell the driver, and the device's own part.
//! Plain data, no descriptor, no thread.

use serde::{Deserialize, Serialize};

use super::balloon::BalloonState;
use super::block::BlockState;
use super::interrupt::InterruptState;
use super::mmio::TransportState;
use super::net::NetState;
use super::rng::RngState;
use super::saved_queue::SavedQueue;
use super::vsock::VsockState;

/// A device and its transport.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedDevice {
    /// The driver's side.
    pub transport: TransportState,
    /// What the driver has not acknowledged.
    pub interrupt: InterruptState,
    /// The device's side.
    pub device: DeviceState,
}

/// The part of each device that can be saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceState {
    /// vsock.
    Vsock(VsockState),
    /// Entropy.
    Rng(RngState),
    /// The balloon.
    Balloon(BalloonState),
    /// A disk.
    Block(BlockState),
    /// A network.
    Net(NetState),
}

impl DeviceState {
    /// Its queues, `None` for those that the driver leaves unused; empty while the device is not active.
    #[must_use]
    pub fn queues(&self) -> Vec<Option<SavedQueue>> {
        match self {
            Self::Vsock(state) => state.queues.iter().flatten().copied().map(Some).collect(),
            Self::Rng(state) => state.queue.into_iter().map(Some).collect(),
            Self::Balloon(state) => state.queues.clone(),
            Self::Block(state) => state.queue.into_iter().map(Some).collect(),
            Self::Net(state) => state.queues.clone(),
        }
    }
}
