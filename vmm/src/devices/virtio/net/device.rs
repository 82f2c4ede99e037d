//! The device and its event loop side.
//!
//! The link is watched edge-triggered: frames that the guest has no room for stay in it without waking anybody, and the
//! guest's next kick of the receive queue looks for them.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use event_manager::{EventOps, Events, MutEventSubscriber};
use holm_protocol::vm_config::{NetworkDevice, NetworkRates};
use virtio_bindings::virtio_ids::VIRTIO_ID_NET;
use virtio_bindings::virtio_net::VIRTIO_NET_F_MRG_RXBUF;
use virtio_queue::{Queue, QueueT};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::eventfd::EventFd;

use super::config::{self, FEATURES, Offloads, QUEUE_SIZE};
use super::limit::Limit;
use super::link::Link;
use super::receive::{Received, Receiver};
use super::state::NetState;
use super::transmit;
use super::used::needs_interrupt;
use crate::devices::changeable::Changeable;
use crate::devices::virtio::device::{ActivateError, Activation, VirtioDevice};
use crate::devices::virtio::interrupt::Interrupt;
use crate::devices::virtio::ring::{RING_FEATURES, RingError, next_chain};
use crate::devices::virtio::saved_device::DeviceState;
use crate::devices::virtio::saved_queue::SavedQueue;
use crate::devices::virtio::serve::Round;
use crate::memory::GuestRam;

/// Positions of the queues (virtio 1.2 section 5.1.2).
const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;

/// A network device cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// Its link.
    #[error(transparent)]
    Link(#[from] super::LinkError),
    /// The process is out of file descriptors.
    #[error("cannot make an event")]
    Event(#[source] io::Error),
}

/// A network device over a link.
pub struct Net<L> {
    link: L,
    mac: [u8; 6],
    mtu: u16,
    /// In the order of the queues.
    limits: [Limit; 2],
    rates: Arc<Changeable<NetworkRates>>,
    /// Changes of `rates` that `limits` know.
    seen: u64,
    kicks: [EventFd; 2],
    receiver: Receiver,
    /// Whether a frame of the guest's waits until the link can take it.
    is_stuck: bool,
    active: Option<Active>,
}

struct Active {
    memory: Arc<GuestRam>,
    receive: Queue,
    transmit: Queue,
    interrupt: Interrupt,
    features: u64,
    offloads: Offloads,
}

impl<L: Link> Net<L> {
    /// A device whose frames carry at most its MTU beside the offloads' segments.
    ///
    /// # Errors
    /// The process is out of file descriptors.
    pub fn new(link: L, config: &NetworkDevice) -> Result<Self, NetError> {
        let kick = || EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC).map_err(NetError::Event);
        let limit = |rate| Limit::new(rate).map_err(NetError::Event);
        let rates = config.rates;
        Ok(Self {
            link,
            mac: config.mac,
            mtu: config.mtu_bytes,
            limits: [limit(rates.in_bytes_per_s)?, limit(rates.out_bytes_per_s)?],
            rates: Arc::new(Changeable::new(rates)),
            seen: 0,
            kicks: [kick()?, kick()?],
            receiver: Receiver::default(),
            is_stuck: false,
            active: None,
        })
    }

    /// Its rates, to be changed while it runs.
    #[must_use]
    pub fn rates(&self) -> Arc<Changeable<NetworkRates>> {
        Arc::clone(&self.rates)
    }

    /// Has the limits be what the rates are.
    fn follow_rates(&mut self) {
        if let Some(rates) = self.rates.since(&mut self.seen) {
            self.limits[RECEIVE].set(rates.in_bytes_per_s);
            self.limits[TRANSMIT].set(rates.out_bytes_per_s);
        }
    }

    /// What a snapshot keeps.
    #[must_use]
    pub fn state(&self) -> NetState {
        let active = self.active.as_ref();
        NetState {
            mac: self.mac,
            mtu: self.mtu,
            features: active.map(|active| active.features),
            queues: active.map(|active| [&active.receive, &active.transmit].map(SavedQueue::from)),
        }
    }

    /// One round of frames to the guest.
    pub(super) fn serve_receive(&mut self) {
        self.follow_rates();
        let Some(active) = &mut self.active else { return };
        match active.receive_round(&mut self.receiver, &mut self.link, &mut self.limits[RECEIVE]) {
            Ok(Round::Empty) => {}
            Ok(Round::More) => {
                let _ = self.kicks[RECEIVE].write(1);
            }
            Err(error) => self.give_up(&error),
        }
    }

    /// One round of frames from the guest.
    pub(super) fn serve_transmit(&mut self) {
        self.follow_rates();
        let Some(active) = &mut self.active else { return };
        let sent = active.transmit_round(&mut self.link, &mut self.limits[TRANSMIT], &mut self.is_stuck);
        match sent {
            Ok(Round::Empty) => {}
            Ok(Round::More) => {
                let _ = self.kicks[TRANSMIT].write(1);
            }
            Err(error) => self.give_up(&error),
        }
    }

    fn give_up(&mut self, error: &RingError) {
        tracing::debug!(%error, "a network queue is broken");
        if let Some(active) = self.active.take() {
            active.interrupt.needs_reset();
        }
        self.receiver.reset();
    }
}

impl Active {
    fn receive_round(
        &mut self,
        receiver: &mut Receiver,
        link: &mut impl Link,
        limit: &mut Limit,
    ) -> Result<Round, RingError> {
        let (queue, memory) = (&mut self.receive, self.memory.as_ref());
        let mergeable = self.features & 1 << VIRTIO_NET_F_MRG_RXBUF != 0;
        let since = queue.next_used();
        let mut last = Received::Done { bytes: 0 };
        queue.disable_notification(memory)?;
        let mut may_pass = limit.passed(0);
        for _ in 0..queue.size() {
            if !may_pass {
                break;
            }
            last = receiver.receive(queue, memory, mergeable, link)?;
            let Received::Done { bytes } = last else { break };
            may_pass = limit.passed(bytes);
        }
        // Once for all of them: who receives much is not interrupted for each.
        if needs_interrupt(queue, memory, since)? {
            self.interrupt.used_buffer();
        }
        match last {
            // The timer goes on with it.
            _ if !may_pass => Ok(Round::Empty),
            // The link may have more, and says so only once.
            Received::Done { .. } => Ok(Round::More),
            Received::NoFrame => Ok(Round::Empty),
            Received::NoBuffers { seen } => {
                // The driver kicks when it adds to those that are too few: the event index stands behind them.
                let next = queue.next_avail();
                queue.set_next_avail(seen);
                let more = queue.enable_notification(memory);
                queue.set_next_avail(next);
                Ok(if more? { Round::More } else { Round::Empty })
            }
        }
    }

    fn transmit_round(
        &mut self,
        link: &mut impl Link,
        limit: &mut Limit,
        is_stuck: &mut bool,
    ) -> Result<Round, RingError> {
        let (queue, memory) = (&mut self.transmit, self.memory.as_ref());
        let since = queue.next_used();
        queue.disable_notification(memory)?;
        let mut may_pass = limit.passed(0);
        *is_stuck = false;
        for _ in 0..queue.size() {
            if !may_pass {
                break;
            }
            if !link.is_ready() {
                *is_stuck = true;
                break;
            }
            let Some(chain) = next_chain(queue, memory)? else { break };
            let head = chain.head_index();
            let bytes = transmit::send(chain, memory, self.offloads, link)?;
            queue.add_used(memory, head, 0)?;
            may_pass = limit.passed(bytes);
        }
        if needs_interrupt(queue, memory, since)? {
            self.interrupt.used_buffer();
        }
        if !may_pass || *is_stuck {
            // The timer or the link goes on with it; kicks would only wake this thread.
            return Ok(Round::Empty);
        }
        Ok(if queue.enable_notification(memory)? { Round::More } else { Round::Empty })
    }
}

impl<L: Link> VirtioDevice for Net<L> {
    fn device_type(&self) -> u32 {
        VIRTIO_ID_NET
    }

    fn queue_sizes(&self) -> &[u16] {
        &[QUEUE_SIZE, QUEUE_SIZE]
    }

    fn kicks(&self) -> &[EventFd] {
        &self.kicks
    }

    fn features(&self) -> u64 {
        RING_FEATURES | FEATURES | self.link.offloads()
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let space = config::space(self.mac, self.mtu);
        let rest = usize::try_from(offset).ok().and_then(|offset| space.get(offset..)).unwrap_or_default();
        data.fill(0);
        for (to, from) in data.iter_mut().zip(rest) {
            *to = *from;
        }
    }

    fn activate(&mut self, activation: Activation) -> Result<(), ActivateError> {
        let mut queues = activation.queues.into_iter();
        let mut queue =
            |number| queues.next().filter(Queue::ready).ok_or(ActivateError::QueueNotReady(number));
        let (receive, transmit) = (queue(RECEIVE)?, queue(TRANSMIT)?);
        let offloads = Offloads::of_features(activation.features);
        if let Err(error) = self.link.set_offloads(offloads) {
            // The host gives frames as it did before, which may be more than the guest can take.
            tracing::error!(%error, "the link refused the offloads");
            return Err(ActivateError::FeatureMissing(0));
        }
        self.receiver.reset();
        self.active = Some(Active {
            memory: activation.memory,
            receive,
            transmit,
            interrupt: activation.interrupt,
            features: activation.features,
            offloads,
        });
        Ok(())
    }

    fn saved(&self) -> Option<DeviceState> {
        Some(DeviceState::Net(self.state()))
    }

    fn reset(&mut self) {
        self.active = None;
        self.receiver.reset();
    }
}

impl<L: Link> MutEventSubscriber for Net<L> {
    fn process(&mut self, events: Events, _: &mut EventOps<'_>) {
        if events.fd() == self.kicks[TRANSMIT].as_raw_fd() {
            let _ = self.kicks[TRANSMIT].read();
            self.serve_transmit();
        } else if self.limits[TRANSMIT].timer().as_raw_fd() == events.fd() {
            self.serve_transmit();
        } else {
            if events.fd() == self.kicks[RECEIVE].as_raw_fd() {
                let _ = self.kicks[RECEIVE].read();
            }
            if self.is_stuck {
                self.serve_transmit();
            }
            self.serve_receive();
        }
    }

    fn init(&mut self, ops: &mut EventOps<'_>) {
        let link =
            Events::new_raw(self.link.as_fd().as_raw_fd(), self.link.interests() | EventSet::EDGE_TRIGGERED);
        let kicks = self.kicks.iter().map(|kick| Events::new(kick, EventSet::IN));
        let edges = EventSet::IN | EventSet::EDGE_TRIGGERED;
        let timers = self.limits.iter().map(|limit| Events::new(limit.timer(), edges));
        for events in kicks.chain([link]).chain(timers) {
            if let Err(error) = ops.add(events) {
                tracing::error!(?error, "cannot watch a network queue");
            }
        }
    }
}
