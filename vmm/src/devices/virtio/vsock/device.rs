//! The device: three queues, the sockets, and the one event loop that moves packets between them.
//!
//! Each event marks what became possible; then one turn does all of it: packets of the guest first, then packets for the
//! guest, again until neither side has more or the turn is long enough, so that the loop's other devices get theirs.
//!
//! Threads: everything but `reset` and `activate` runs on the event loop. `reset` cannot reach epoll, so it leaves
//! sockets that are over to the loop.

use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_manager::{EventOps, EventSet, Events, MutEventSubscriber};
use holm_protocol::vm_config::VsockConfig;
use virtio_bindings::virtio_ids::VIRTIO_ID_VSOCK;
use virtio_queue::{Queue, QueueOwnedT, QueueT};
use vmm_sys_util::timerfd::TimerFd;

use super::VsockError;
use super::connections::Connections;
use super::dialler::Dialler;
use super::listener::{Call, Listener};
use super::packet::{BrokenPacket, Buffers, Direction, HEADER_BYTES};
use super::state::VsockState;
use crate::devices::virtio::device::{ActivateError, Activation, VirtioDevice};
use crate::devices::virtio::interrupt::Interrupt;
use crate::devices::virtio::kicks::{self, Kick};
use crate::devices::virtio::ring::{Chain, RING_FEATURES, RingError, next_chain};
use crate::devices::virtio::saved_device::DeviceState;
use crate::devices::virtio::saved_queue::SavedQueue;
use crate::memory::GuestRam;

/// rx, tx and event. Linux keeps all rx buffers filled with a page each, and 8 event buffers.
const QUEUE_SIZES: [u16; 3] = [128, 128, 8];
/// VIRTIO_VSOCK_EVENT_TRANSPORT_RESET.
const EVENT_TRANSPORT_RESET: u32 = 0;
/// Callers who have not finished their line, or wait for the guest's answer; more wait in the listening socket's queue.
const MAX_CALLS: usize = 64;
/// Packets in one turn.
const TURN_PACKETS: u32 = 512;
/// How often deadlines are looked at while there are any.
const TICK: Duration = Duration::from_secs(1);

/// The virtio-vsock device of one guest.
pub struct Vsock {
    guest_cid: u32,
    kicks: [Kick; 3],
    /// Written by the device itself when it has more to do than fits into a turn.
    again: Kick,
    timer: TimerFd,
    is_timer_armed: bool,
    listener: Listener,
    connections: Connections,
    active: Option<Active>,
    /// The guest has to be told that its connections are gone.
    is_reset_event_due: bool,
    /// A broken driver is reported once, however often it breaks.
    has_warned: bool,
}

/// What the device has while its driver is ready.
struct Active {
    memory: Arc<GuestRam>,
    rx: Ring,
    tx: Ring,
    event: Ring,
    interrupt: Interrupt,
}

struct Ring {
    queue: Queue,
    /// Buffers were used since the driver was last told.
    has_used: bool,
}

impl Vsock {
    /// Listens on the configured socket; callers wait until the guest's driver is up.
    ///
    /// # Errors
    /// The socket's path is taken by something that is not a socket, is too long, or cannot be listened on; or the
    /// process is out of file descriptors.
    pub fn new(config: &VsockConfig) -> Result<Self, VsockError> {
        let kick = || kicks::make().map_err(VsockError::Event);
        let dialler = Dialler::new(&config.host_ports, config.dial_fd)?;
        Ok(Self {
            guest_cid: config.guest_cid,
            kicks: [kick()?, kick()?, kick()?],
            again: kick()?,
            timer: TimerFd::new().map_err(|error| VsockError::Event(error.into()))?,
            is_timer_armed: false,
            listener: Listener::new(&config.socket)?,
            connections: Connections::new(config.guest_cid.into(), dialler),
            active: None,
            is_reset_event_due: false,
            has_warned: false,
        })
    }

    /// A device for a guest that was snapshotted: it continues as `state` says, without its connections, and tells the
    /// guest so as soon as it is activated.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn restore(config: &VsockConfig, state: &VsockState) -> Result<Self, VsockError> {
        let mut device = Self::new(config)?;
        device.connections.set_next_host_port(state.next_host_port);
        device.is_reset_event_due = true;
        Ok(device)
    }

    /// What [`Self::restore`] needs.
    #[must_use]
    pub fn state(&self) -> VsockState {
        let saved = |ring: &Ring| SavedQueue::from(&ring.queue);
        VsockState {
            queues: self.active.as_ref().map(|a| [saved(&a.rx), saved(&a.tx), saved(&a.event)]),
            guest_cid: self.guest_cid,
            next_host_port: self.connections.next_host_port(),
        }
    }

    /// Takes note of what an event makes possible.
    fn note(&mut self, events: Events, now: Instant) {
        let (fd, set) = (events.fd(), events.event_set());
        if let Some(event) = self.kicks.iter().chain([&self.again]).find(|event| event.as_raw_fd() == fd) {
            // Non-blocking; a spurious wake-up finds nothing to read.
            let _ = event.read();
        } else if fd == self.listener.socket().as_raw_fd() {
            self.listener.ready();
        } else if fd == self.timer.as_raw_fd() {
            let _ = self.timer.wait();
            self.is_timer_armed = false;
            self.expire(now);
        } else if self.listener.knows(fd) {
            match self.listener.hear(fd, set.intersects(EventSet::HANG_UP | EventSet::ERROR)) {
                Call::Waiting => {}
                Call::Port(stream, port) => self.connections.call(stream, port),
                Call::Refused(stream) => self.connections.close(stream),
            }
        } else {
            self.connections.host_event(fd, set);
        }
    }

    /// Ends what took too long.
    pub(super) fn expire(&mut self, now: Instant) {
        self.connections.expire(now);
        for stream in self.listener.expire(now) {
            self.connections.close(stream);
        }
    }

    /// Accepts callers while there is room; returns whether it has to be tried again later.
    fn accept(&mut self, now: Instant, ops: &mut EventOps<'_>) -> bool {
        if !self.listener.is_ready() {
            return false;
        }
        let mut calls = self.listener.callers() + self.connections.requested();
        while calls < MAX_CALLS {
            let (fd, added) = match self.listener.accept(now) {
                Ok(Some(stream)) => {
                    let events = Events::new(stream, EventSet::IN | EventSet::EDGE_TRIGGERED);
                    (stream.as_raw_fd(), ops.add(events))
                }
                Ok(None) => return false,
                Err(_) => return true,
            };
            if added.is_err() {
                self.listener.drop_caller(fd);
                return true;
            }
            calls += 1;
        }
        // A call less takes an event, and each event comes here again.
        false
    }

    /// Moves packets until nothing moves; `true` when there is more to do than fits into a turn.
    fn turn(&mut self, now: Instant) -> Result<bool, BrokenPacket> {
        let Some(active) = &mut self.active else { return Ok(false) };
        let mut left = TURN_PACKETS;
        while left > 0 {
            let before = left;
            active.take_packets(&mut self.connections, &mut left)?;
            active.give_packets(&mut self.connections, now, &mut left)?;
            if self.is_reset_event_due && active.give_event(EVENT_TRANSPORT_RESET)? {
                self.is_reset_event_due = false;
            }
            active.notify()?;
            if left == before {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The driver broke the rules: nothing of it is touched until it resets the device.
    fn give_up(&mut self, error: &BrokenPacket) {
        if !self.has_warned {
            self.has_warned = true;
            tracing::warn!(error = error as &dyn std::error::Error, "the guest's vsock driver is broken");
        }
        if let Some(active) = self.active.take() {
            active.interrupt.needs_reset();
        }
        self.hang_up();
    }

    /// Ends all connections and calls.
    fn hang_up(&mut self) {
        for stream in self.listener.clear() {
            self.connections.close(stream);
        }
        self.connections.clear();
    }

    fn arm_timer(&mut self) {
        // Fails for no value that is passed here.
        self.is_timer_armed = self.timer.reset(TICK, None).is_ok();
    }
}

impl Active {
    /// The tx queue. Left alone while answers wait for rx buffers.
    fn take_packets(&mut self, connections: &mut Connections, left: &mut u32) -> Result<(), BrokenPacket> {
        let memory = self.memory.as_ref();
        self.tx.quiet(memory)?;
        while *left > 0 && connections.accepts_packets() {
            let Some(chain) = self.tx.next(memory)? else { break };
            *left -= 1;
            let head = chain.head_index();
            let buffers = Buffers::collect(memory, chain, Direction::FromGuest, HEADER_BYTES)?;
            connections.packet(&buffers.read_header(), &buffers);
            self.tx.used(memory, head, 0)?;
        }
        Ok(())
    }

    /// The rx queue. The driver is asked for a notification only when it has too few buffers in it.
    fn give_packets(
        &mut self,
        connections: &mut Connections,
        now: Instant,
        left: &mut u32,
    ) -> Result<(), BrokenPacket> {
        let memory = self.memory.as_ref();
        self.rx.quiet(memory)?;
        while *left > 0 && connections.wants_rx() {
            let Some(chain) = self.rx.next(memory)? else { break };
            *left -= 1;
            let head = chain.head_index();
            // A buffer without room for data would never get any.
            let buffers = Buffers::collect(memory, chain, Direction::ToGuest, HEADER_BYTES + 1)?;
            match connections.fill(&buffers, now) {
                Some(bytes) => self.rx.used(memory, head, bytes)?,
                None => self.rx.queue.go_to_previous_position(),
            }
        }
        Ok(())
    }

    /// The event queue; `false` when the driver has no buffer in it.
    fn give_event(&mut self, id: u32) -> Result<bool, BrokenPacket> {
        let memory = self.memory.as_ref();
        let Some(chain) = self.event.next(memory)? else { return Ok(false) };
        let head = chain.head_index();
        let bytes = id.to_le_bytes();
        Buffers::collect(memory, chain, Direction::ToGuest, bytes.len())?.write(&bytes);
        self.event.used(memory, head, 4)?;
        Ok(true)
    }

    /// One interrupt for all that was used, if the driver wants one.
    fn notify(&mut self) -> Result<(), RingError> {
        let mut is_wanted = false;
        for ring in [&mut self.rx, &mut self.tx, &mut self.event] {
            if ring.has_used {
                ring.has_used = false;
                is_wanted |= ring.queue.needs_notification(self.memory.as_ref())?;
            }
        }
        if is_wanted {
            self.interrupt.used_buffer();
        }
        Ok(())
    }
}

impl Ring {
    fn new(queue: Queue) -> Self {
        Self { queue, has_used: false }
    }

    /// Asks for no notifications until `next` finds nothing.
    fn quiet(&mut self, memory: &GuestRam) -> Result<(), RingError> {
        Ok(self.queue.disable_notification(memory)?)
    }

    /// The driver's next chain. When there is none, the driver will notify the device of one.
    fn next<'m>(&mut self, memory: &'m GuestRam) -> Result<Option<Chain<'m>>, RingError> {
        let chain = next_chain(&mut self.queue, memory)?;
        if chain.is_none() && self.queue.enable_notification(memory)? {
            return next_chain(&mut self.queue, memory);
        }
        Ok(chain)
    }

    /// Gives a chain back, with this many bytes written to it.
    fn used(&mut self, memory: &GuestRam, head: u16, bytes: u32) -> Result<(), RingError> {
        self.has_used = true;
        Ok(self.queue.add_used(memory, head, bytes)?)
    }
}

impl VirtioDevice for Vsock {
    fn device_type(&self) -> u32 {
        VIRTIO_ID_VSOCK
    }

    fn queue_sizes(&self) -> &[u16] {
        &QUEUE_SIZES
    }

    fn kicks(&self) -> &[Kick] {
        &self.kicks
    }

    /// No feature of the device's own: that means stream sockets only (section 5.10.3).
    fn features(&self) -> u64 {
        RING_FEATURES
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        let config = u64::from(self.guest_cid).to_le_bytes();
        let rest = usize::try_from(offset).ok().and_then(|offset| config.get(offset..)).unwrap_or_default();
        data.iter_mut().zip(rest).for_each(|(byte, value)| *byte = *value);
    }

    fn activate(&mut self, activation: Activation) -> Result<(), ActivateError> {
        let Activation { memory, queues, interrupt, features: _ } = activation;
        let mut rings =
            (0..).zip(queues.into_iter().map(Some).chain([None, None, None])).map(|(index, queue)| {
                queue.filter(Queue::ready).map(Ring::new).ok_or(ActivateError::QueueNotReady(index))
            });
        let mut next = || rings.next().unwrap_or(Err(ActivateError::QueueNotReady(0)));
        self.active = Some(Active { memory, rx: next()?, tx: next()?, event: next()?, interrupt });
        Ok(())
    }

    fn saved(&self) -> Option<DeviceState> {
        Some(DeviceState::Vsock(self.state()))
    }

    fn reset(&mut self) {
        self.active = None;
        self.hang_up();
        // The loop closes the sockets.
        let _ = self.again.write(1);
    }
}

impl MutEventSubscriber for Vsock {
    fn process(&mut self, events: Events, ops: &mut EventOps<'_>) {
        let now = Instant::now();
        self.note(events, now);
        let mut is_tick_wanted = false;
        if self.active.is_some() {
            match self.turn(now) {
                Ok(is_more) => {
                    if is_more {
                        let _ = self.again.write(1);
                    }
                    is_tick_wanted = self.accept(now, ops);
                }
                Err(error) => self.give_up(&error),
            }
        }
        self.connections.sync(ops);
        is_tick_wanted |= self.listener.callers() > 0 || self.connections.has_deadlines();
        if is_tick_wanted && !self.is_timer_armed {
            self.arm_timer();
        }
    }

    fn init(&mut self, ops: &mut EventOps<'_>) {
        let wakers = self.kicks.iter().chain([&self.again]).map(|event| event.as_raw_fd());
        let level = wakers.chain([self.timer.as_raw_fd()]).map(|fd| Events::new_raw(fd, EventSet::IN));
        let edge = Events::new(self.listener.socket(), EventSet::IN | EventSet::EDGE_TRIGGERED);
        for events in level.chain([edge]) {
            if let Err(error) = ops.add(events) {
                // Only without memory or epoll watches, at start: the device then never answers.
                tracing::error!(?error, "the vsock device cannot be watched");
            }
        }
    }
}
