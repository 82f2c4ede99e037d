//! The device and its event loop side.

use std::fs::File;
use std::io;
use std::sync::Arc;

use event_manager::{EventOps, Events, MutEventSubscriber};
use virtio_bindings::virtio_ids::VIRTIO_ID_RNG;
use virtio_queue::{Queue, QueueT};

use super::{MAX_CHAIN_BYTES, RngState};
use crate::devices::virtio::device::{ActivateError, Activation, VirtioDevice};
use crate::devices::virtio::interrupt::Interrupt;
use crate::devices::virtio::kicks::{self, Kick};
use crate::devices::virtio::ring::{Buffer, RING_FEATURES, RingError, buffers};
use crate::devices::virtio::saved_device::DeviceState;
use crate::devices::virtio::saved_queue::SavedQueue;
use crate::devices::virtio::serve::{Round, serve};
use crate::memory::{Bytes, GuestRam};

const QUEUE_SIZE: u16 = 64;
/// Linux gives one buffer per request.
const MAX_DESCRIPTORS: usize = QUEUE_SIZE as usize;

/// The device cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RngError {
    /// The host's random source cannot be opened.
    #[error("cannot open /dev/urandom")]
    Source(#[source] io::Error),
    /// The process is out of file descriptors.
    #[error("cannot make an event")]
    Event(#[source] io::Error),
}

/// An entropy device.
pub struct Rng {
    source: File,
    kicks: [Kick; 1],
    active: Option<Active>,
}

struct Active {
    memory: Arc<GuestRam>,
    queue: Queue,
    interrupt: Interrupt,
}

impl Rng {
    /// Opens the host's random source, so that a jail needs no path to it.
    ///
    /// # Errors
    /// The source or an event cannot be had.
    pub fn new() -> Result<Self, RngError> {
        let source = File::open("/dev/urandom").map_err(RngError::Source)?;
        let kick = kicks::make().map_err(RngError::Event)?;
        Ok(Self { source, kicks: [kick], active: None })
    }

    /// What a snapshot keeps.
    #[must_use]
    pub fn state(&self) -> RngState {
        RngState { queue: self.active.as_ref().map(|active| SavedQueue::from(&active.queue)) }
    }

    /// Serves the queue once.
    pub(super) fn serve(&mut self) {
        let Some(active) = &mut self.active else { return };
        let (source, memory) = (&mut self.source, active.memory.as_ref());
        let round = serve(&mut active.queue, memory, &active.interrupt, |chain| {
            fill(memory, &buffers(chain, memory, MAX_DESCRIPTORS)?.writable, source)
        });
        match round {
            Ok(Round::Empty) => {}
            Ok(Round::More) => {
                let _ = self.kicks[0].write(1);
            }
            Err(error) => {
                tracing::debug!(%error, "entropy queue is broken");
                active.interrupt.needs_reset();
                self.active = None;
            }
        }
    }
}

/// Fills buffers from the front; how many bytes.
fn fill(memory: &GuestRam, buffers: &[Buffer], source: &mut File) -> Result<u32, RingError> {
    let mut filled = 0;
    for buffer in buffers {
        let count = buffer.length.min(MAX_CHAIN_BYTES - filled);
        if count == 0 {
            break;
        }
        let bytes = usize::try_from(count).unwrap_or(0);
        if memory.read_exact_volatile_from(buffer.address, source, bytes).is_err() {
            return Err(RingError::OutsideMemory { address: buffer.address.0, length: count });
        }
        filled += count;
    }
    Ok(filled)
}

impl VirtioDevice for Rng {
    fn device_type(&self) -> u32 {
        VIRTIO_ID_RNG
    }

    fn queue_sizes(&self) -> &[u16] {
        &[QUEUE_SIZE]
    }

    fn kicks(&self) -> &[Kick] {
        &self.kicks
    }

    fn features(&self) -> u64 {
        RING_FEATURES
    }

    fn read_config(&self, _: u64, data: &mut [u8]) {
        data.fill(0);
    }

    fn activate(&mut self, activation: Activation) -> Result<(), ActivateError> {
        let queue = activation
            .queues
            .into_iter()
            .next()
            .filter(Queue::ready)
            .ok_or(ActivateError::QueueNotReady(0))?;
        self.active = Some(Active { memory: activation.memory, queue, interrupt: activation.interrupt });
        Ok(())
    }

    fn saved(&self) -> Option<DeviceState> {
        Some(DeviceState::Rng(self.state()))
    }

    fn reset(&mut self) {
        self.active = None;
    }
}

impl MutEventSubscriber for Rng {
    fn process(&mut self, events: Events, _: &mut EventOps<'_>) {
        kicks::take(&self.kicks, events.fd());
        self.serve();
    }

    fn init(&mut self, ops: &mut EventOps<'_>) {
        kicks::watch(&self.kicks, ops, "entropy");
    }
}
