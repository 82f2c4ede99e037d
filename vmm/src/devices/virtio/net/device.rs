//! The device: its pairs of queues, and the control queue of one that has several.
//!
//! ```text
//!   queues   receive 0, transmit 0, receive 1, transmit 1, ..., control
//!   threads  the device's: pair 0 and control        one more for each further pair ([`VirtioDevice::lanes`])
//! ```
//! A driver uses pair 0 until it says how many it wants. What is not used is not given frames by the links.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_manager::{EventOps, Events, MutEventSubscriber};
use holm_protocol::vm_config::{NetworkDevice, NetworkRates};
use virtio_bindings::virtio_ids::VIRTIO_ID_NET;
use virtio_bindings::virtio_net::{VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_MQ};
use virtio_queue::{Queue, QueueT};
use vmm_sys_util::epoll::EventSet;

use super::config::{self, CONTROL_QUEUE_SIZE, FEATURES, Offloads, QUEUE_SIZE, SEVERAL};
use super::control::Command;
use super::limit::Limit;
use super::link::Link;
use super::pair::{self, Pair};
use super::state::NetState;
use crate::devices::changeable::Changeable;
use crate::devices::virtio::device::{ActivateError, Activation, VirtioDevice};
use crate::devices::virtio::interrupt::Interrupt;
use crate::devices::virtio::kicks::{self, Kick};
use crate::devices::virtio::ring::RING_FEATURES;
use crate::devices::virtio::saved_device::DeviceState;
use crate::devices::virtio::saved_queue::SavedQueue;
use crate::devices::virtio::serve::{Round, serve};
use crate::event_loop::Subscriber;
use crate::memory::GuestRam;

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

/// A network device over links to one network: as many pairs of queues as links.
pub struct Net<L> {
    mac: [u8; 6],
    mtu: u16,
    rates: Arc<Changeable<NetworkRates>>,
    offered: u64,
    pairs: Vec<Arc<Mutex<Pair<L>>>>,
    /// The next two are in the order of the queues.
    queue_sizes: Vec<u16>,
    kicks: Vec<Kick>,
    active: Option<Active>,
}

struct Active {
    memory: Arc<GuestRam>,
    control: Option<Queue>,
    interrupt: Interrupt,
    features: u64,
}

impl<L: Link> Net<L> {
    /// A device whose frames carry at most its MTU beside the offloads' segments. Of no links comes one that works with no driver.
    ///
    /// # Errors
    /// The process is out of file descriptors.
    pub fn new(links: impl IntoIterator<Item = L>, config: &NetworkDevice) -> Result<Self, NetError> {
        let rates = Arc::new(Changeable::new(config.rates));
        let limit = |rate| Limit::new(rate).map_err(NetError::Event);
        let limits = [limit(config.rates.in_bytes_per_s)?, limit(config.rates.out_bytes_per_s)?];
        let (mut pairs, mut kicks, mut offered) = (Vec::new(), Vec::new(), RING_FEATURES | FEATURES);
        for link in links {
            offered |= link.offloads();
            let pair = || -> io::Result<Pair<L>> {
                let own = [kicks::make()?, kicks::make()?];
                let [incoming, outgoing] = &limits;
                kicks.extend(own.iter().cloned());
                Ok(Pair::new(link, own, [incoming.shared()?, outgoing.shared()?], Arc::clone(&rates)))
            };
            pairs.push(Arc::new(Mutex::new(pair().map_err(NetError::Event)?)));
        }
        let mut queue_sizes = vec![QUEUE_SIZE; kicks.len()];
        if pairs.len() > 1 {
            offered |= SEVERAL;
            queue_sizes.push(CONTROL_QUEUE_SIZE);
            kicks.push(kicks::make().map_err(NetError::Event)?);
        }
        let (mac, mtu) = (config.mac, config.mtu_bytes);
        Ok(Self { mac, mtu, rates, offered, pairs, queue_sizes, kicks, active: None })
    }

    /// Its rates, to be changed while it runs.
    #[must_use]
    pub fn rates(&self) -> Arc<Changeable<NetworkRates>> {
        Arc::clone(&self.rates)
    }

    /// What a snapshot keeps.
    #[must_use]
    pub fn state(&self) -> NetState {
        // One that waits for its driver to reset it does no more than one that was reset.
        let active = self.active.as_ref().filter(|active| !active.interrupt.is_reset_needed());
        let queues = active.map(|active| {
            let control = active.control.as_ref().map(SavedQueue::from);
            let queues =
                (0..self.pairs.len()).filter_map(|index| self.pair(index)).flat_map(|pair| pair.saved());
            queues.chain((self.pairs.len() > 1).then_some(control)).collect()
        });
        NetState {
            mac: self.mac,
            mtu: self.mtu,
            features: active.map(|active| active.features),
            pairs: self.pair_count(),
            queues: queues.unwrap_or_default(),
        }
    }

    fn pair_count(&self) -> u16 {
        u16::try_from(self.pairs.len()).unwrap_or(u16::MAX)
    }

    /// One of its pairs.
    pub(super) fn pair(&self, index: usize) -> Option<MutexGuard<'_, Pair<L>>> {
        self.pairs.get(index).map(|pair| pair.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One round of commands.
    pub(super) fn serve_control(&mut self) {
        let Some(mut active) = self.active.take() else { return };
        let Active { memory, control, interrupt, .. } = &mut active;
        let Some(queue) = control.as_mut().filter(|_| !interrupt.is_reset_needed()) else {
            self.active = Some(active);
            return;
        };
        let served = serve(queue, memory, interrupt, |chain| {
            let command = Command::read(chain, memory)?;
            let is_done = command.pairs.is_some_and(|pairs| self.use_pairs(pairs.into()));
            command.answer(is_done, memory)
        });
        match served {
            Ok(Round::Empty) => {}
            Ok(Round::More) => {
                let _ = self.kicks.last().map(|kick| kick.write(1));
            }
            Err(error) => {
                tracing::debug!(%error, "a network's control queue is broken");
                active.interrupt.needs_reset();
            }
        }
        self.active = Some(active);
    }

    /// Has the links give frames to the first `count` pairs only; whether that can be.
    fn use_pairs(&self, count: usize) -> bool {
        let is_ready = |index| self.pair(index).is_some_and(|pair| pair.is_active());
        if count == 0 || !(0..count).all(is_ready) {
            return false;
        }
        let used = (0..self.pairs.len()).filter_map(|index| {
            let used = self.pair(index)?.link().set_used(index < count);
            used.inspect_err(
                |error| tracing::error!(%error, "the link of a pair of queues cannot be switched"),
            )
            .ok()
        });
        used.count() == self.pairs.len()
    }
}

impl<L: Link + 'static> VirtioDevice for Net<L> {
    fn device_type(&self) -> u32 {
        VIRTIO_ID_NET
    }

    fn queue_sizes(&self) -> &[u16] {
        &self.queue_sizes
    }

    fn kicks(&self) -> &[Kick] {
        &self.kicks
    }

    fn lanes(&self) -> Vec<Subscriber> {
        let further = self.pairs.iter().skip(1);
        further.map(|pair| -> Subscriber { Arc::clone(pair) as _ }).collect()
    }

    fn features(&self) -> u64 {
        self.offered
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let space = config::space(self.mac, self.mtu, self.pair_count());
        let rest = usize::try_from(offset).ok().and_then(|offset| space.get(offset..)).unwrap_or_default();
        data.fill(0);
        for (to, from) in data.iter_mut().zip(rest) {
            *to = *from;
        }
    }

    fn activate(&mut self, activation: Activation) -> Result<(), ActivateError> {
        let Activation { memory, queues, interrupt, features } = activation;
        // With the one and without the other the control queue would be where a pair's is (section 5.1.2).
        if features & 1 << VIRTIO_NET_F_CTRL_VQ != 0 && features & 1 << VIRTIO_NET_F_MQ == 0 {
            return Err(ActivateError::FeatureMissing(VIRTIO_NET_F_MQ));
        }
        let offloads = Offloads::of_features(features);
        let mut queues = queues.into_iter();
        for index in 0..self.pairs.len() {
            let (receive, transmit) =
                (queues.next().filter(Queue::ready), queues.next().filter(Queue::ready));
            let Some(mut pair) = self.pair(index) else { continue };
            let active = match (receive, transmit) {
                (Some(receive), Some(transmit)) => {
                    let (memory, interrupt) = (Arc::clone(&memory), interrupt.clone());
                    Some(pair::Active { memory, receive, transmit, interrupt, features, offloads })
                }
                (None, _) if index == 0 => return Err(ActivateError::QueueNotReady(0)),
                (_, None) if index == 0 => return Err(ActivateError::QueueNotReady(1)),
                _ => None,
            };
            let offered = if index == 0 { pair.link().set_offloads(offloads) } else { Ok(()) };
            if let Err(error) = offered.and_then(|()| pair.link().set_used(index == 0)) {
                // The host gives frames as it did before, which may be more than the guest can take.
                tracing::error!(%error, "the link refused what the driver chose");
                return Err(ActivateError::FeatureMissing(0));
            }
            pair.set_active(active);
        }
        let control = queues.next().filter(Queue::ready);
        self.active = Some(Active { memory, control, interrupt, features });
        Ok(())
    }

    fn saved(&self) -> Option<DeviceState> {
        Some(DeviceState::Net(self.state()))
    }

    fn reset(&mut self) {
        self.active = None;
        for index in 0..self.pairs.len() {
            if let Some(mut pair) = self.pair(index) {
                pair.set_active(None);
            }
        }
    }
}

impl<L: Link> MutEventSubscriber for Net<L> {
    fn process(&mut self, events: Events, ops: &mut EventOps<'_>) {
        let control = self.kicks.get(2 * self.pairs.len());
        if let Some(kick) = control.filter(|kick| kick.as_raw_fd() == events.fd()) {
            let _ = kick.read();
            self.serve_control();
        } else if let Some(mut first) = self.pair(0) {
            first.process(events, ops);
        }
    }

    fn init(&mut self, ops: &mut EventOps<'_>) {
        if let Some(mut first) = self.pair(0) {
            first.init(ops);
        }
        if let Some(kick) = self.kicks.get(2 * self.pairs.len())
            && let Err(error) = ops.add(Events::new(kick, EventSet::IN))
        {
            tracing::error!(?error, "cannot watch a network's control queue");
        }
    }
}
