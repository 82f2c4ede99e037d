//! Devices in their slots: each made, put behind a transport, wired to KVM, and served by an event loop.
//!
//! ```text
//!   empty ──plug: KVM wired, transport on the bus──> filled ──unplug: transport off the bus, KVM unwired, thread ended──> empty
//! ```
//!
//! A slot is a place in the guest's address space with an interrupt line of its own ([`Place`]). Every VM has vsock, entropy
//! and a balloon in the first ones, but only the place of vsock is on the kernel's command line: the host tells the guest of all
//! others when it has started, so a VM that goes on from a template can have others than the one that was saved. Further ones
//! come and go on request ([`super::control`]). One that goes on from a checkpoint finds its devices where they were.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, iter};

use holm_protocol::vm_config::{
    DiskConfig, DiskRates, FIRST_TOLD_SLOT, MAX_QUEUE_PAIRS, NetworkConfig, NetworkDevice, NetworkLink,
    NetworkRates, VSOCK_SLOT, VmConfig,
};
use holm_protocol::vm_control::{DevicePlace, SaveScope};
use kvm_ioctls::{IoEventAddress, VmFd};

use super::MachineError;
use super::vm::failed;
use crate::devices::bus::Bus;
use crate::devices::changeable::Changeable;
use crate::devices::virtio::balloon::Balloon;
use crate::devices::virtio::block::Block;
use crate::devices::virtio::device::VirtioDevice;
use crate::devices::virtio::fs::{Fs, Roots};
use crate::devices::virtio::interrupt::Interrupt;
use crate::devices::virtio::mmio::{Place, SharedDevice, Transport};
use crate::devices::virtio::net::{Link, Net, NetError, Severed, Stream, Tap};
use crate::devices::virtio::rng::Rng;
use crate::devices::virtio::saved_device::{DeviceState, SavedDevice};
use crate::devices::virtio::vsock::Vsock;
use crate::event_loop::{self, EventLoopError, Served, Subscriber};
use crate::jail::Role;
use crate::layout::MAX_VIRTIO_DEVICES;
use crate::memory::GuestRam;
use crate::template::SavedSlot;

const VSOCK: usize = VSOCK_SLOT as usize;
const RNG: usize = 1;
const BALLOON: usize = 2;
const FIRST_TOLD: usize = FIRST_TOLD_SLOT as usize;

/// All slots of a VM. Belongs to the main thread.
pub(super) struct Slots {
    vm: Arc<VmFd>,
    memory: Arc<GuestRam>,
    bus: Arc<Bus>,
    /// What is known of the devices; those of the main thread's event loop stay for ever.
    filled: Vec<Option<Plugged>>,
    /// What the main thread's event loop has to serve.
    main: Vec<Subscriber>,
}

/// The devices that the guest is told of, open and not plugged in.
pub(super) struct Told(Vec<Opened>);

/// One of them.
struct Opened {
    slot: usize,
    device: SharedDevice,
    saved: Option<SavedDevice>,
    thread: Option<ThreadOf>,
    knob: Knob,
}

/// A network device that is not plugged in.
pub(super) struct Network {
    device: SharedDevice,
    knob: Knob,
}

/// What of a device can be changed while it runs.
enum Knob {
    None,
    Disk { id: String, rates: Arc<Changeable<DiskRates>> },
    Network(Arc<Changeable<NetworkRates>>),
    Shares(Roots),
}

/// The thread that serves a device.
struct ThreadOf {
    name: String,
    role: Role,
}

struct Plugged {
    device: SharedDevice,
    /// Absent for devices that the main thread serves.
    thread: Option<ThreadOf>,
    /// The threads that serve it: none for those, and while the VM stands still.
    served: Vec<Served>,
    knob: Knob,
}

/// Why a slot cannot be filled or emptied.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    /// All are taken.
    #[error("all {MAX_VIRTIO_DEVICES} slots for devices are taken")]
    Full,
    /// There is nothing that can be taken away.
    #[error("slot {0} has no device that can be removed")]
    NotRemovable(u32),
    /// The guest uses more than what every VM has.
    #[error("the guest already uses the device in slot {0}")]
    InUse(usize),
    /// A VM without the device that every saved VM has.
    #[error("there is nothing to save in slot {0}")]
    NotSaved(usize),
    /// There is no such disk.
    #[error("the VM has no disk {0:?}")]
    NoDisk(String),
    /// There is one of this id already.
    #[error("the VM has a disk {0:?} already")]
    SameDisk(String),
    /// There is no device for shares.
    #[error("the VM has no shares, and can get none")]
    NoShares,
    /// What cannot be shared, or taken away.
    #[error("cannot change the shares")]
    Share(#[source] std::io::Error),
    /// A saved VM has other devices than that one.
    #[error("the saved device in slot {0} is not one that belongs there")]
    Foreign(u32),
    /// What cannot be saved.
    #[error("the VM has a device that cannot be saved in slot {0}: shares, whose files are the host's")]
    NotSavable(usize),
}

impl Slots {
    pub(super) fn new(vm: Arc<VmFd>, memory: Arc<GuestRam>, bus: Arc<Bus>) -> Self {
        let filled = (0..MAX_VIRTIO_DEVICES).map(|_| None).collect();
        Self { vm, memory, bus, filled, main: Vec::new() }
    }

    /// Plugs in what the guest knows of from its first instruction on: vsock, as it was saved or new.
    pub(super) fn plug_vsock(
        &mut self,
        config: &VmConfig,
        saved: Option<&SavedDevice>,
    ) -> Result<(), MachineError> {
        let Some(config) = &config.vsock else { return Ok(()) };
        let device = match saved.map(|saved| &saved.device) {
            None => Vsock::new(config)?,
            Some(DeviceState::Vsock(state)) => Vsock::restore(config, state)?,
            Some(_) => return Err(SlotError::Foreign(VSOCK_SLOT).into()),
        };
        self.plug(Opened::by_main(VSOCK, device, saved.cloned()))
    }

    /// Opens entropy and the balloon, the configuration's disks, its shares, and its networks; each as it was `saved`, if any was.
    /// Disks, shares and networks are in this order ([`VmConfig::network_slot`] counts on it), or where they were.
    pub(super) fn open_told(&self, config: &VmConfig, saved: Vec<SavedSlot>) -> Result<Told, MachineError> {
        if !saved.is_empty() {
            return Ok(Told(self.open_saved(config, saved)?));
        }
        let mut told =
            vec![Opened::by_main(RNG, Rng::new()?, None), Opened::by_main(BALLOON, Balloon::new()?, None)];
        let mut slots = FIRST_TOLD..;
        for disk in &config.disks {
            told.push(Opened::disk(slots.next().unwrap_or(FIRST_TOLD), disk, Block::new(disk)?, None));
        }
        if !config.shares.is_empty() {
            let slot = slots.next().unwrap_or(FIRST_TOLD);
            let thread = Some(ThreadOf { name: "shares".to_owned(), role: Role::Shares });
            let fs = Fs::new(&config.shares)?;
            let knob = Knob::Shares(fs.roots());
            told.push(Opened { slot, device: shared(fs), saved: None, thread, knob });
        }
        for network in &config.networks {
            let slot = slots.next().unwrap_or(FIRST_TOLD);
            told.push(Opened::network(slot, open_network(network)?, None));
        }
        Ok(Told(told))
    }

    /// Opens what a checkpoint has beside vsock. All of the configuration's disks must be in it.
    fn open_saved(&self, config: &VmConfig, saved: Vec<SavedSlot>) -> Result<Vec<Opened>, MachineError> {
        let mut disks: Vec<&DiskConfig> = config.disks.iter().collect();
        let mut opened = Vec::with_capacity(saved.len());
        for SavedSlot { slot, device: saved } in saved {
            let foreign = SlotError::Foreign(slot);
            let index = usize::try_from(slot).ok().filter(|index| *index < self.filled.len());
            let Some(index) = index.filter(|index| opened.iter().all(|one: &Opened| one.slot != *index))
            else {
                return Err(foreign.into());
            };
            opened.push(match (&saved.device, index) {
                (DeviceState::Rng(_), RNG) => Opened::by_main(index, Rng::new()?, Some(saved)),
                (DeviceState::Balloon(_), BALLOON) => Opened::by_main(index, Balloon::new()?, Some(saved)),
                (DeviceState::Block(state), FIRST_TOLD..) => {
                    let Some(place) = disks.iter().position(|disk| disk.id == state.id) else {
                        return Err(foreign.into());
                    };
                    let disk = disks.swap_remove(place);
                    let length_bytes: u64 = disk.segments.iter().map(|segment| segment.length_bytes).sum();
                    if length_bytes != state.length_bytes {
                        return Err(foreign.into());
                    }
                    Opened::disk(index, disk, Block::new(disk)?, Some(saved))
                }
                (DeviceState::Net(state), FIRST_TOLD..) => {
                    if !(1..=MAX_QUEUE_PAIRS).contains(&usize::from(state.pairs)) {
                        return Err(foreign.into());
                    }
                    let links = (0..state.pairs).map(|_| Severed::new()).collect::<io::Result<Vec<_>>>();
                    let rates = NetworkRates::default();
                    let device = NetworkDevice { mac: state.mac, mtu_bytes: state.mtu, rates };
                    let net = Net::new(links.map_err(MachineError::Event)?, &device)?;
                    Opened::network(index, net.into(), Some(saved))
                }
                _ => return Err(foreign.into()),
            });
        }
        if disks.is_empty() { Ok(opened) } else { Err(SlotError::Foreign(FIRST_TOLD_SLOT).into()) }
    }

    /// Plugs in what was opened.
    pub(super) fn plug_told(&mut self, told: Told) -> Result<(), MachineError> {
        for opened in told.0 {
            self.plug(opened)?;
        }
        Ok(())
    }

    /// What the main thread has to serve, once.
    pub(super) fn take_served_by_main(&mut self) -> Vec<Subscriber> {
        std::mem::take(&mut self.main)
    }

    /// The devices, at rest: the vCPUs stand still, the main thread does nothing else, and for all of them so do their threads
    /// ([`Slots::rest`]).
    pub(super) fn saved(&self, scope: SaveScope) -> Result<Vec<SavedSlot>, SlotError> {
        let mut saved = Vec::new();
        for (slot, number) in (0..self.filled.len()).zip(0..) {
            let is_wanted = match scope {
                SaveScope::Everything => true,
                SaveScope::Template if slot == VSOCK => true,
                SaveScope::Template if self.bus.inspect(slot, Transport::is_used) == Some(true) => {
                    return Err(SlotError::InUse(slot));
                }
                SaveScope::Template => false,
            };
            if let Some(device) = self.bus.inspect(slot, Transport::saved).filter(|_| is_wanted) {
                saved.push(SavedSlot { slot: number, device: device.ok_or(SlotError::NotSavable(slot))? });
            }
        }
        if saved.first().is_some_and(|first| first.slot == VSOCK_SLOT) {
            Ok(saved)
        } else {
            Err(SlotError::NotSaved(VSOCK))
        }
    }

    /// Ends the devices' threads when each has done what it is at: nothing of this process writes to a disk then.
    pub(super) fn rest(&mut self) {
        for served in self.filled.iter_mut().flatten().flat_map(|plugged| plugged.served.drain(..)) {
            served.stop();
        }
    }

    /// Serves the devices again that [`Slots::rest`] left.
    pub(super) fn go_on(&mut self) -> Result<(), MachineError> {
        for Plugged { device, thread, served, .. } in self.filled.iter_mut().flatten() {
            if let (Some(thread), true) = (&thread, served.is_empty()) {
                *served = thread.serve(device)?;
            }
        }
        Ok(())
    }

    /// Limits a disk, or every one, to other rates from now on.
    pub(super) fn set_disk_rates(&self, of: Option<&str>, new: DiskRates) -> Result<(), SlotError> {
        let mut is_there = of.is_none();
        for plugged in self.filled.iter().flatten() {
            if let Knob::Disk { id, rates } = &plugged.knob
                && of.is_none_or(|of| of == id)
            {
                rates.set(new);
                is_there = true;
            }
        }
        if is_there { Ok(()) } else { Err(SlotError::NoDisk(of.unwrap_or_default().to_owned())) }
    }

    /// The same of every network device that is there.
    pub(super) fn set_network_rates(&self, new: NetworkRates) {
        for plugged in self.filled.iter().flatten() {
            if let Knob::Network(rates) = &plugged.knob {
                rates.set(new);
            }
        }
    }

    /// Shares a directory of the host under a number that was not used before.
    pub(super) fn add_share(
        &self,
        number: u32,
        directory: OwnedFd,
        only: Option<&str>,
        read_only: bool,
    ) -> Result<(), SlotError> {
        self.roots()?.add(number, directory, only, read_only).map_err(SlotError::Share)
    }

    /// Takes a share away.
    pub(super) fn remove_share(&self, number: u32) -> Result<(), SlotError> {
        self.roots()?.remove(number).map_err(SlotError::Share)
    }

    fn roots(&self) -> Result<&Roots, SlotError> {
        let mut all = self.filled.iter().flatten();
        let found = all.find_map(|plugged| match &plugged.knob {
            Knob::Shares(roots) => Some(roots),
            _ => None,
        });
        found.ok_or(SlotError::NoShares)
    }

    /// Where vsock is.
    pub(super) fn vsock_place(&self) -> Option<DevicePlace> {
        self.filled.get(VSOCK)?.as_ref().map(|_| DevicePlace::of_slot(VSOCK_SLOT))
    }

    /// Plugs a network device into the first free slot; which it is.
    pub(super) fn plug_network(&mut self, network: Network) -> Result<usize, MachineError> {
        let slot = self.free()?;
        self.plug(Opened::network(slot, network, None))?;
        Ok(slot)
    }

    /// The same of a disk over files that are open.
    pub(super) fn plug_disk(&mut self, disk: &DiskConfig, files: Vec<File>) -> Result<usize, MachineError> {
        let has_id = |plugged: &Plugged| matches!(&plugged.knob, Knob::Disk { id, .. } if *id == disk.id);
        if self.filled.iter().flatten().any(has_id) {
            return Err(SlotError::SameDisk(disk.id.clone()).into());
        }
        let slot = self.free()?;
        self.plug(Opened::disk(slot, disk, Block::received(disk, files)?, None))?;
        Ok(slot)
    }

    /// Takes away the device in a slot: nothing of it is open or touches the guest's memory afterwards.
    pub(super) fn unplug(&mut self, slot: u32) -> Result<(), SlotError> {
        let index = usize::try_from(slot).unwrap_or(usize::MAX);
        let filled = self.filled.get_mut(index).ok_or(SlotError::NotRemovable(slot))?;
        match filled.take() {
            Some(Plugged { device, served, .. }) if !served.is_empty() => {
                if let Some(transport) = self.bus.replace(index, None) {
                    unwire(&self.vm, &transport, Place::nth(index));
                }
                served.into_iter().for_each(Served::stop);
                device.lock().unwrap_or_else(PoisonError::into_inner).reset();
                Ok(())
            }
            other => {
                *filled = other;
                Err(SlotError::NotRemovable(slot))
            }
        }
    }

    fn free(&self) -> Result<usize, SlotError> {
        let told = self.filled.iter().enumerate().skip(FIRST_TOLD);
        told.into_iter().find(|(_, plugged)| plugged.is_none()).map(|(slot, _)| slot).ok_or(SlotError::Full)
    }

    /// Fills a slot; with a thread to serve the device, or the main thread's event loop.
    fn plug(&mut self, opened: Opened) -> Result<(), MachineError> {
        let Opened { slot, device, saved, thread, knob } = opened;
        let place = Place::nth(slot);
        let interrupt = Interrupt::new().map_err(MachineError::Event)?;
        let (shared, memory) = (Arc::clone(&device), Arc::clone(&self.memory));
        let transport = match &saved {
            None => Transport::new(shared, memory, interrupt),
            Some(saved) => Transport::restored(shared, memory, interrupt, saved)?,
        };
        if let Err(error) = self.wire(&transport, place) {
            unwire(&self.vm, &transport, place);
            return Err(error);
        }
        let served = match thread.as_ref().map(|thread| thread.serve(&device)).transpose() {
            Ok(served) => served.unwrap_or_default(),
            Err(error) => {
                unwire(&self.vm, &transport, place);
                return Err(error.into());
            }
        };
        if thread.is_none() {
            self.main.push(device.clone());
        }
        self.bus.replace(slot, Some(transport));
        if let Some(filled) = self.filled.get_mut(slot) {
            *filled = Some(Plugged { device, thread, served, knob });
        }
        Ok(())
    }

    fn wire(&self, transport: &Transport, place: Place) -> Result<(), MachineError> {
        self.vm
            .register_irqfd(transport.interrupt().irqfd(), place.gsi)
            .map_err(failed("connect an interrupt"))?;
        let notify = IoEventAddress::Mmio(place.notify_address());
        for (queue, kick) in (0_u32..).zip(transport.kicks()) {
            self.vm.register_ioevent(kick.as_ref(), &notify, queue).map_err(failed("watch a queue"))?;
        }
        Ok(())
    }
}

impl Opened {
    /// One that the main thread serves.
    fn by_main(slot: usize, device: impl VirtioDevice + 'static, saved: Option<SavedDevice>) -> Self {
        Self { slot, device: shared(device), saved, thread: None, knob: Knob::None }
    }

    fn disk(slot: usize, disk: &DiskConfig, device: Block, saved: Option<SavedDevice>) -> Self {
        let knob = Knob::Disk { id: disk.id.clone(), rates: device.rates() };
        let thread = Some(ThreadOf { name: format!("disk-{}", disk.id), role: Role::Disk });
        Self { slot, device: shared(device), saved, thread, knob }
    }

    fn network(slot: usize, network: Network, saved: Option<SavedDevice>) -> Self {
        let Network { device, knob } = network;
        let thread = Some(ThreadOf { name: format!("net-{slot}"), role: Role::Network });
        Self { slot, device, saved, thread, knob }
    }
}

impl ThreadOf {
    /// Serves the device, and its parts with a thread for each.
    fn serve(&self, device: &SharedDevice) -> Result<Vec<Served>, EventLoopError> {
        let lanes = device.lock().unwrap_or_else(PoisonError::into_inner).lanes();
        let own: (String, Subscriber) = (self.name.clone(), device.clone());
        let lanes =
            (1..).zip(lanes).map(|(number, lane): (u32, _)| (format!("{}.{number}", self.name), lane));
        let mut serving = Vec::new();
        for (name, part) in iter::once(own).chain(lanes) {
            match event_loop::spawn(name, self.role, part) {
                Ok(served) => serving.push(served),
                Err(error) => {
                    serving.into_iter().for_each(Served::stop);
                    return Err(error);
                }
            }
        }
        Ok(serving)
    }
}

impl<L: Link + 'static> From<Net<L>> for Network {
    fn from(device: Net<L>) -> Self {
        Self { knob: Knob::Network(device.rates()), device: shared(device) }
    }
}

fn shared(device: impl VirtioDevice + 'static) -> SharedDevice {
    Arc::new(Mutex::new(device))
}

fn open_network(network: &NetworkConfig) -> Result<Network, MachineError> {
    Ok(match &network.link {
        NetworkLink::Tap(queues) => {
            let taps = queues.iter().copied().map(Tap::inherited).collect::<Result<Vec<_>, _>>();
            Net::new(taps.map_err(NetError::from)?, &network.device)?.into()
        }
        &NetworkLink::Stream { fd, host } => {
            let stream = Stream::inherited(fd, host).map_err(NetError::from)?;
            Net::new([stream], &network.device)?.into()
        }
    })
}

/// Undoes what was done of the wiring.
fn unwire(vm: &VmFd, transport: &Transport, place: Place) {
    // What was not wired need not be undone.
    let _ = vm.unregister_irqfd(transport.interrupt().irqfd(), place.gsi);
    let notify = IoEventAddress::Mmio(place.notify_address());
    for (queue, kick) in (0_u32..).zip(transport.kicks()) {
        let _ = vm.unregister_ioevent(kick.as_ref(), &notify, queue);
    }
}
