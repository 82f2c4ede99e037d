//! A pair of queues, one for each direction, over a link of its own, and its event loop side.
//!
//! The link is watched edge-triggered: frames that the guest has no room for stay in it without waking anybody, and the
//! guest's next kick of the receive queue looks for them.

use std::os::fd::AsRawFd;
use std::sync::Arc;

use event_manager::{EventOps, Events, MutEventSubscriber};
use holm_protocol::vm_config::NetworkRates;
use virtio_bindings::virtio_net::VIRTIO_NET_F_MRG_RXBUF;
use virtio_queue::{Queue, QueueT};
use vmm_sys_util::epoll::EventSet;

use super::config::Offloads;
use super::limit::Limit;
use super::link::Link;
use super::receive::{Received, Receiver};
use super::transmit;
use super::used::needs_interrupt;
use crate::devices::changeable::Changeable;
use crate::devices::virtio::interrupt::Interrupt;
use crate::devices::virtio::kicks::Kick;
use crate::devices::virtio::ring::{RingError, next_chain};
use crate::devices::virtio::saved_queue::SavedQueue;
use crate::devices::virtio::serve::Round;
use crate::memory::GuestRam;

/// Positions of the queues in the pair (virtio 1.2 section 5.1.2).
const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;

/// One pair. Locked by the thread that serves it, and by whoever activates or resets the device.
pub(super) struct Pair<L> {
    link: L,
    kicks: [Kick; 2],
    /// In the order of the queues.
    limits: [Limit; 2],
    rates: Arc<Changeable<NetworkRates>>,
    /// Changes of `rates` that `limits` know.
    seen: u64,
    receiver: Receiver,
    /// Whether a frame of the guest's waits until the link can take it.
    is_stuck: bool,
    active: Option<Active>,
}

/// What it works with while the driver is ready.
pub(super) struct Active {
    pub(super) memory: Arc<GuestRam>,
    pub(super) receive: Queue,
    pub(super) transmit: Queue,
    pub(super) interrupt: Interrupt,
    pub(super) features: u64,
    pub(super) offloads: Offloads,
}

impl<L: Link> Pair<L> {
    /// One whose driver is not ready.
    pub(super) fn new(
        link: L,
        kicks: [Kick; 2],
        limits: [Limit; 2],
        rates: Arc<Changeable<NetworkRates>>,
    ) -> Self {
        Self {
            link,
            kicks,
            limits,
            rates,
            seen: 0,
            receiver: Receiver::default(),
            is_stuck: false,
            active: None,
        }
    }

    /// Where its frames go.
    pub(super) fn link(&mut self) -> &mut L {
        &mut self.link
    }

    /// Its queues may be used from now on, or no longer.
    pub(super) fn set_active(&mut self, active: Option<Active>) {
        self.receiver.reset();
        self.is_stuck = false;
        self.active = active;
    }

    /// Whether the driver has set it up.
    pub(super) fn is_active(&self) -> bool {
        self.active.is_some()
    }

    /// Its queues, as they are saved.
    pub(super) fn saved(&self) -> [Option<SavedQueue>; 2] {
        let active = self.active.as_ref();
        [active.map(|active| (&active.receive).into()), active.map(|active| (&active.transmit).into())]
    }

    /// Has the limits be what the rates are.
    fn follow_rates(&mut self) {
        if let Some(rates) = self.rates.since(&mut self.seen) {
            self.limits[RECEIVE].set(rates.in_bytes_per_s);
            self.limits[TRANSMIT].set(rates.out_bytes_per_s);
        }
    }

    /// One round of frames to the guest.
    pub(super) fn serve_receive(&mut self) {
        self.follow_rates();
        let Some(active) = self.active.as_mut().filter(|active| active.is_sound()) else { return };
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
        let Some(active) = self.active.as_mut().filter(|active| active.is_sound()) else { return };
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
    /// Whether no queue of the device is broken: it touches none of them then.
    fn is_sound(&self) -> bool {
        !self.interrupt.is_reset_needed()
    }

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

impl<L: Link> MutEventSubscriber for Pair<L> {
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
        let kicks = self.kicks.iter().map(|kick| Events::new(kick.as_ref(), EventSet::IN));
        let edges = EventSet::IN | EventSet::EDGE_TRIGGERED;
        let timers = self.limits.iter().map(|limit| Events::new(limit.timer(), edges));
        for events in kicks.chain([link]).chain(timers) {
            if let Err(error) = ops.add(events) {
                tracing::error!(?error, "cannot watch a network queue");
            }
        }
    }
}
