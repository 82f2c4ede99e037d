//! The device and its event loop side.

use std::io;
use std::sync::Arc;

use event_manager::{EventOps, Events, MutEventSubscriber};
use virtio_bindings::virtio_ids::VIRTIO_ID_BALLOON;
use virtio_queue::{Queue, QueueT};

use super::BalloonState;
use crate::devices::virtio::device::{ActivateError, Activation, VirtioDevice};
use crate::devices::virtio::interrupt::Interrupt;
use crate::devices::virtio::kicks::{self, Kick};
use crate::devices::virtio::ring::{Chain, RING_FEATURES, RingError, buffers};
use crate::devices::virtio::saved_device::DeviceState;
use crate::devices::virtio::saved_queue::SavedQueue;
use crate::devices::virtio::serve::{Round, serve};
use crate::memory::{self, GuestRam};

/// Inflate, deflate, and reporting, which is third where neither statistics nor hints are negotiated. Linux reports 32
/// pieces at a time and wants as many entries.
const QUEUE_SIZES: [u16; 3] = [16, 16, 32];
/// VIRTIO_BALLOON_F_PAGE_REPORTING (virtio 1.2 section 5.5.3), which virtio-bindings lacks.
const F_PAGE_REPORTING: u64 = 1 << 5;
const REPORTING: usize = 2;
const MAX_PIECES: usize = 32;

/// The device cannot be made: the process is out of file descriptors.
#[derive(Debug, thiserror::Error)]
#[error("cannot make an event")]
pub struct BalloonError(#[source] io::Error);

/// A balloon that is always empty.
pub struct Balloon {
    kicks: [Kick; 3],
    active: Option<Active>,
}

struct Active {
    memory: Arc<GuestRam>,
    queues: Vec<Queue>,
    interrupt: Interrupt,
}

impl Balloon {
    /// An inactive one.
    ///
    /// # Errors
    /// The process is out of file descriptors.
    pub fn new() -> Result<Self, BalloonError> {
        let kick = || kicks::make().map_err(BalloonError);
        Ok(Self { kicks: [kick()?, kick()?, kick()?], active: None })
    }

    /// What a snapshot keeps.
    #[must_use]
    pub fn state(&self) -> BalloonState {
        let saved = |queue: &Queue| queue.ready().then(|| SavedQueue::from(queue));
        let queues = self.active.as_ref().map(|active| active.queues.iter().map(saved).collect());
        BalloonState { queues: queues.unwrap_or_default() }
    }

    /// Serves each queue once.
    pub(super) fn serve(&mut self) {
        let Some(active) = &mut self.active else { return };
        let memory = active.memory.as_ref();
        for (index, queue) in active.queues.iter_mut().enumerate().filter(|(_, queue)| queue.ready()) {
            let round = serve(queue, memory, &active.interrupt, |chain| {
                if index == REPORTING { discard(memory, chain) } else { Ok(0) }
            });
            match round {
                Ok(Round::Empty) => {}
                Ok(Round::More) => {
                    if let Some(kick) = self.kicks.get(index) {
                        let _ = kick.write(1);
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "a balloon queue is broken");
                    active.interrupt.needs_reset();
                    self.active = None;
                    return;
                }
            }
        }
    }
}

/// Gives the pieces of a report back to the host. Nothing is written for the guest.
fn discard(memory: &GuestRam, chain: Chain<'_>) -> Result<u32, RingError> {
    for piece in buffers(chain, memory, MAX_PIECES)?.writable {
        if let Err(error) = memory::discard(memory, piece.address, piece.length) {
            // The guest may go on with what it has.
            tracing::debug!(%error, "guest memory was not given back");
        }
    }
    Ok(0)
}

impl VirtioDevice for Balloon {
    fn device_type(&self) -> u32 {
        VIRTIO_ID_BALLOON
    }

    fn queue_sizes(&self) -> &[u16] {
        &QUEUE_SIZES
    }

    fn kicks(&self) -> &[Kick] {
        &self.kicks
    }

    fn features(&self) -> u64 {
        RING_FEATURES | F_PAGE_REPORTING
    }

    /// `num_pages`, how much the guest is to give, and `actual`, how much it gave: zero.
    fn read_config(&self, _: u64, data: &mut [u8]) {
        data.fill(0);
    }

    fn activate(&mut self, activation: Activation) -> Result<(), ActivateError> {
        let Activation { memory, queues, interrupt, features } = activation;
        let is_reporting = features & F_PAGE_REPORTING != 0;
        if is_reporting && !queues.get(REPORTING).is_some_and(Queue::ready) {
            return Err(ActivateError::QueueNotReady(REPORTING));
        }
        self.active = Some(Active { memory, queues, interrupt });
        Ok(())
    }

    fn saved(&self) -> Option<DeviceState> {
        Some(DeviceState::Balloon(self.state()))
    }

    fn reset(&mut self) {
        self.active = None;
    }
}

impl MutEventSubscriber for Balloon {
    fn process(&mut self, events: Events, _: &mut EventOps<'_>) {
        kicks::take(&self.kicks, events.fd());
        self.serve();
    }

    fn init(&mut self, ops: &mut EventOps<'_>) {
        kicks::watch(&self.kicks, ops, "balloon");
    }
}
