//! The device and its event loop side: queue, request, disk, answer.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_manager::{EventOps, Events, MutEventSubscriber};
use holm_protocol::vm_config::{DiskConfig, DiskRates, MAX_DISK_ID_BYTES, SECTOR_BYTES};
use virtio_bindings::virtio_blk::{
    VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_RO, VIRTIO_BLK_F_SEG_MAX,
    VIRTIO_BLK_F_WRITE_ZEROES,
};
use virtio_bindings::virtio_ids::VIRTIO_ID_BLOCK;
use virtio_queue::{Queue, QueueT};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::timerfd::TimerFd;

use super::config::{self, MAX_DATA_BUFFERS, QUEUE_SIZE};
use super::disk::{Disk, DiskError};
use super::request::{Parsed, Request, Shape, Status, parse};
use super::state::BlockState;
use super::throttle::Throttle;
use crate::devices::changeable::Changeable;
use crate::devices::virtio::device::{ActivateError, Activation, VirtioDevice};
use crate::devices::virtio::interrupt::Interrupt;
use crate::devices::virtio::kicks::{self, Kick};
use crate::devices::virtio::ring::{
    Buffer, Chain, RING_FEATURES, RingError, buffers, split_front, total_bytes,
};
use crate::devices::virtio::saved_device::DeviceState;
use crate::devices::virtio::saved_queue::SavedQueue;
use crate::devices::virtio::serve::{Answer, PacedRound, Round, serve_paced};
use crate::memory::{Bytes, GuestRam};

/// A request that waits is looked at again after this at the latest: its rates may have changed.
const MAX_WAIT: Duration = Duration::from_millis(250);

/// A block device cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// Its disk cannot be opened.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The process is out of file descriptors.
    #[error("cannot make an event")]
    Event(#[source] io::Error),
}

/// A block device.
pub struct Block {
    disk: Disk,
    id: String,
    kicks: [Kick; 1],
    pace: Pace,
    active: Option<Active>,
}

/// Limits, and how to wait for them.
struct Pace {
    /// Nothing waits without it.
    throttle: Option<Throttle>,
    begun: Instant,
    timer: TimerFd,
    rates: Arc<Changeable<DiskRates>>,
    /// Changes of `rates` that `throttle` knows.
    seen: u64,
}

struct Active {
    memory: Arc<GuestRam>,
    queue: Queue,
    interrupt: Interrupt,
    /// The driver did not take FLUSH, so a write is done when it is stable (section 5.2.6.2).
    write_through: bool,
}

impl Block {
    /// Opens the disk.
    ///
    /// # Errors
    /// A file cannot be opened or is not what the configuration says.
    pub fn new(config: &DiskConfig) -> Result<Self, BlockError> {
        Self::with(config, Disk::open(config)?)
    }

    /// Takes a disk's files that are open already, one for each segment. They are not looked at: the thread that gets them while the VM
    /// runs may not.
    ///
    /// # Errors
    /// They are more or fewer than the segments.
    pub fn received(config: &DiskConfig, files: Vec<File>) -> Result<Self, BlockError> {
        Self::with(config, Disk::of(config, files)?)
    }

    fn with(config: &DiskConfig, disk: Disk) -> Result<Self, BlockError> {
        let kick = kicks::make().map_err(BlockError::Event)?;
        let pace = Pace {
            throttle: Throttle::new(&config.rates),
            begun: Instant::now(),
            timer: TimerFd::new().map_err(|error| BlockError::Event(error.into()))?,
            rates: Arc::new(Changeable::new(config.rates)),
            seen: 0,
        };
        Ok(Self { disk, id: config.id.clone(), kicks: [kick], pace, active: None })
    }

    /// Its rates, to be changed while it runs.
    #[must_use]
    pub fn rates(&self) -> Arc<Changeable<DiskRates>> {
        Arc::clone(&self.pace.rates)
    }

    /// What a snapshot keeps.
    #[must_use]
    pub fn state(&self) -> BlockState {
        BlockState {
            id: self.id.clone(),
            length_bytes: self.disk.length_bytes(),
            queue: self.active.as_ref().map(|active| SavedQueue::from(&active.queue)),
            write_through: self.active.as_ref().is_some_and(|active| active.write_through),
        }
    }

    /// Serves the queue once.
    pub(super) fn serve(&mut self) {
        let Some(active) = &mut self.active else { return };
        let memory = active.memory.as_ref();
        let mut worker = Worker {
            disk: &mut self.disk,
            id: &self.id,
            memory,
            write_through: active.write_through,
            pace: &mut self.pace,
        };
        match serve_paced(&mut active.queue, memory, &active.interrupt, |chain| worker.answer(chain)) {
            Ok(PacedRound::Done(Round::Empty)) => {}
            Ok(PacedRound::Done(Round::More)) => {
                let _ = self.kicks[0].write(1);
            }
            Ok(PacedRound::Wait(wait_ns)) => {
                let wait = Duration::from_nanos(wait_ns).min(MAX_WAIT);
                if let Err(error) = self.pace.timer.reset(wait, None) {
                    // Not with a time that is positive and small.
                    tracing::error!(disk = self.id, ?error, "cannot wait");
                }
            }
            Err(error) => {
                tracing::debug!(disk = self.id, %error, "block queue is broken");
                active.interrupt.needs_reset();
                self.active = None;
            }
        }
    }
}

/// What it takes to do a request.
struct Worker<'a> {
    disk: &'a mut Disk,
    id: &'a str,
    memory: &'a GuestRam,
    write_through: bool,
    pace: &'a mut Pace,
}

impl Pace {
    /// Lets a request pass, or tells for how many nanoseconds it has to wait.
    fn take(&mut self, request: &Request) -> Result<(), u64> {
        if let Some(rates) = self.rates.since(&mut self.seen) {
            self.throttle = Throttle::new(&rates);
        }
        let Some(throttle) = &mut self.throttle else { return Ok(()) };
        let now_ns = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        throttle.take(request, now_ns)
    }
}

impl Worker<'_> {
    /// Does what a chain asks, if its time has come.
    fn answer(&mut self, chain: Chain<'_>) -> Result<Answer, RingError> {
        let buffers = buffers(chain, self.memory, MAX_DATA_BUFFERS + 2)?;
        let shape = Shape { length_bytes: self.disk.length_bytes(), read_only: self.disk.is_read_only() };
        let Parsed { request, answer } = parse(self.memory, buffers, shape)?;
        if let Ok(request) = &request
            && let Err(wait_ns) = self.pace.take(request)
        {
            return Ok(Answer::Wait(wait_ns));
        }
        let (status, data_bytes) = match request.map(|request| self.execute(request)) {
            Ok(Ok(bytes)) => (Status::Ok, bytes),
            Ok(Err(error)) => {
                tracing::debug!(disk = self.id, %error, "request failed");
                (Status::IoError, 0)
            }
            Err(status) => (status, 0),
        };
        self.memory
            .write_obj(status.byte(), answer)
            .map_err(|_| RingError::OutsideMemory { address: answer.0, length: 1 })?;
        Ok(Answer::Done(data_bytes.saturating_add(1)))
    }

    /// How many bytes of data it put into guest memory.
    fn execute(&mut self, request: Request) -> io::Result<u32> {
        match request {
            Request::Read { offset_bytes, into } => {
                let bytes = total_bytes(&into);
                self.disk.read(self.memory, into, offset_bytes)?;
                return Ok(u32::try_from(bytes).unwrap_or(u32::MAX));
            }
            Request::GetId { into } => return self.tell_id(into),
            Request::Flush => self.disk.flush()?,
            Request::Write { offset_bytes, from } => self.disk.write(self.memory, from, offset_bytes)?,
            Request::Discard(ranges) => {
                for range in ranges {
                    self.disk.discard(range.offset_bytes, range.length_bytes)?;
                }
            }
            Request::WriteZeroes(ranges) => {
                for range in ranges {
                    self.disk.write_zeroes(range.offset_bytes, range.length_bytes, range.unmap)?;
                }
            }
        }
        if self.write_through {
            self.disk.flush()?;
        }
        Ok(0)
    }

    /// The serial number, filled up with zeroes; as much of it as there is room for.
    fn tell_id(&self, mut into: Vec<Buffer>) -> io::Result<u32> {
        let mut serial = [0; MAX_DISK_ID_BYTES];
        for (to, from) in serial.iter_mut().zip(self.id.bytes()) {
            *to = from;
        }
        let mut told = 0_u32;
        let room = total_bytes(&into).min(MAX_DISK_ID_BYTES as u64);
        let mut rest = &serial[..];
        for buffer in split_front(&mut into, room).unwrap_or_default() {
            let length = usize::try_from(buffer.length).unwrap_or(0).min(rest.len());
            let (part, after) = rest.split_at(length);
            self.memory.write_slice(part, buffer.address).map_err(io::Error::other)?;
            told += buffer.length;
            rest = after;
        }
        Ok(told)
    }
}

impl VirtioDevice for Block {
    fn device_type(&self) -> u32 {
        VIRTIO_ID_BLOCK
    }

    fn queue_sizes(&self) -> &[u16] {
        &[QUEUE_SIZE]
    }

    fn kicks(&self) -> &[Kick] {
        &self.kicks
    }

    fn features(&self) -> u64 {
        let kind = if self.disk.is_read_only() {
            1 << VIRTIO_BLK_F_RO
        } else {
            1 << VIRTIO_BLK_F_FLUSH | 1 << VIRTIO_BLK_F_DISCARD | 1 << VIRTIO_BLK_F_WRITE_ZEROES
        };
        RING_FEATURES | 1 << VIRTIO_BLK_F_SEG_MAX | kind
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let space = config::space(self.disk.length_bytes() / SECTOR_BYTES);
        let rest = usize::try_from(offset).ok().and_then(|offset| space.get(offset..)).unwrap_or_default();
        data.fill(0);
        for (to, from) in data.iter_mut().zip(rest) {
            *to = *from;
        }
    }

    fn activate(&mut self, activation: Activation) -> Result<(), ActivateError> {
        let queue = activation
            .queues
            .into_iter()
            .next()
            .filter(Queue::ready)
            .ok_or(ActivateError::QueueNotReady(0))?;
        self.active = Some(Active {
            memory: activation.memory,
            queue,
            interrupt: activation.interrupt,
            write_through: !self.disk.is_read_only() && activation.features & 1 << VIRTIO_BLK_F_FLUSH == 0,
        });
        Ok(())
    }

    fn saved(&self) -> Option<DeviceState> {
        Some(DeviceState::Block(self.state()))
    }

    fn reset(&mut self) {
        self.active = None;
    }
}

impl MutEventSubscriber for Block {
    fn process(&mut self, events: Events, _: &mut EventOps<'_>) {
        if self.pace.timer.as_raw_fd() == events.fd() {
            let _ = self.pace.timer.wait();
        } else {
            let _ = self.kicks[0].read();
        }
        self.serve();
    }

    fn init(&mut self, ops: &mut EventOps<'_>) {
        for fd in [self.kicks[0].as_raw_fd(), self.pace.timer.as_raw_fd()] {
            if let Err(error) = ops.add(Events::new_raw(fd, EventSet::IN)) {
                tracing::error!(disk = self.id, ?error, "cannot watch the block queue");
            }
        }
    }
}
