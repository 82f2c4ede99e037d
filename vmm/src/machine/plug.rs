//! Devices in their slots: each made, put behind a transport, wired to KVM, and served by an event loop.
//!
//! ```text
//!   empty ──plug: KVM wired, transport on the bus──> filled ──unplug: transport off the bus, KVM unwired, thread ended──> empty
//! ```
//!
//! A slot is a place in the guest's address space with an interrupt line of its own ([`Place`]). Every VM has vsock, entropy
//! and a balloon in the first ones, but only the place of vsock is on the kernel's command line: the host tells the guest of all
//! others when it has started, so a VM that goes on from a template can have others than the one that was saved. Further ones
//! come and go on request ([`super::control`]).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use holm_protocol::vm_config::{
    DiskConfig, FIRST_TOLD_SLOT, NetworkConfig, NetworkLink, VSOCK_SLOT, VmConfig,
};
use holm_protocol::vm_control::DevicePlace;
use kvm_ioctls::{IoEventAddress, VmFd};

use super::MachineError;
use super::vm::failed;
use crate::devices::bus::Bus;
use crate::devices::virtio::balloon::Balloon;
use crate::devices::virtio::block::Block;
use crate::devices::virtio::device::VirtioDevice;
use crate::devices::virtio::fs::Fs;
use crate::devices::virtio::interrupt::Interrupt;
use crate::devices::virtio::mmio::{Place, SharedDevice, Transport};
use crate::devices::virtio::net::{Net, NetError, Stream, Tap};
use crate::devices::virtio::rng::Rng;
use crate::devices::virtio::saved_device::{DeviceState, SavedDevice};
use crate::devices::virtio::vsock::Vsock;
use crate::event_loop::{self, Served, Subscriber};
use crate::jail::Role;
use crate::layout::MAX_VIRTIO_DEVICES;
use crate::memory::GuestRam;

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
    /// Whether the disks' rates hold no more.
    lifted: Arc<AtomicBool>,
}

/// The devices that the guest is told of, open and not plugged in.
pub(super) struct Told {
    rng: Rng,
    balloon: Balloon,
    disks: Vec<(String, Block)>,
    shares: Option<Fs>,
    networks: Vec<SharedDevice>,
}

struct Plugged {
    device: SharedDevice,
    /// Absent for devices that the main thread serves.
    served: Option<Served>,
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
    /// A saved VM has other devices than that one.
    #[error("the saved device is not vsock")]
    Foreign,
}

impl Slots {
    pub(super) fn new(vm: Arc<VmFd>, memory: Arc<GuestRam>, bus: Arc<Bus>) -> Self {
        let filled = (0..MAX_VIRTIO_DEVICES).map(|_| None).collect();
        Self { vm, memory, bus, filled, main: Vec::new(), lifted: Arc::default() }
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
            Some(_) => return Err(SlotError::Foreign.into()),
        };
        self.plug_served_by_main(VSOCK, device, saved)
    }

    fn plug_served_by_main(
        &mut self,
        slot: usize,
        device: impl VirtioDevice + 'static,
        saved: Option<&SavedDevice>,
    ) -> Result<(), MachineError> {
        let device = Arc::new(Mutex::new(device));
        self.plug(slot, device.clone(), saved, None)?;
        self.main.push(device);
        Ok(())
    }

    /// Opens entropy and the balloon, the configuration's disks, its shares, and its networks.
    pub(super) fn open_told(&self, config: &VmConfig) -> Result<Told, MachineError> {
        let disk = |disk: &DiskConfig| Ok((disk.id.clone(), Block::new(disk, &self.lifted)?));
        let network = |network: &NetworkConfig| -> Result<SharedDevice, MachineError> {
            Ok(match network.link {
                NetworkLink::Tap(fd) => {
                    let tap = Tap::inherited(fd).map_err(NetError::from)?;
                    Arc::new(Mutex::new(Net::new(tap, &network.device)?))
                }
                NetworkLink::Stream { fd, host } => {
                    let stream = Stream::inherited(fd, host).map_err(NetError::from)?;
                    Arc::new(Mutex::new(Net::new(stream, &network.device)?))
                }
            })
        };
        Ok(Told {
            rng: Rng::new()?,
            balloon: Balloon::new()?,
            disks: config.disks.iter().map(disk).collect::<Result<_, MachineError>>()?,
            shares: (!config.shares.is_empty()).then(|| Fs::new(&config.shares)).transpose()?,
            networks: config.networks.iter().map(network).collect::<Result<_, MachineError>>()?,
        })
    }

    /// Plugs in entropy and the balloon, then disks, shares and networks, in this order ([`VmConfig::network_slot`] counts on
    /// it).
    pub(super) fn plug_told(&mut self, told: Told) -> Result<(), MachineError> {
        self.plug_served_by_main(RNG, told.rng, None)?;
        self.plug_served_by_main(BALLOON, told.balloon, None)?;
        for (id, disk) in told.disks {
            self.plug_free(Arc::new(Mutex::new(disk)), format!("disk-{id}"), Role::Disk)?;
        }
        if let Some(shares) = told.shares {
            self.plug_free(Arc::new(Mutex::new(shares)), "shares".to_owned(), Role::Shares)?;
        }
        for network in told.networks {
            self.plug_network(network)?;
        }
        Ok(())
    }

    /// What the main thread has to serve, once.
    pub(super) fn take_served_by_main(&mut self) -> Vec<Subscriber> {
        std::mem::take(&mut self.main)
    }

    /// Vsock, at rest: the vCPUs stand still, and the main thread does nothing else.
    pub(super) fn saved(&self) -> Result<SavedDevice, SlotError> {
        for slot in VSOCK + 1..self.filled.len() {
            if self.bus.inspect(slot, Transport::is_used) == Some(true) {
                return Err(SlotError::InUse(slot));
            }
        }
        self.bus.inspect(VSOCK, Transport::saved).flatten().ok_or(SlotError::NotSaved(VSOCK))
    }

    /// Lets the disks be as fast as they can from now on.
    pub(super) fn lift_rates(&self) {
        self.lifted.store(true, Ordering::Relaxed);
    }

    /// Where vsock is.
    pub(super) fn vsock_place(&self) -> Option<DevicePlace> {
        self.filled.get(VSOCK)?.as_ref().map(|_| DevicePlace::of_slot(VSOCK_SLOT))
    }

    /// Plugs in a network device; its slot.
    pub(super) fn plug_network(&mut self, device: SharedDevice) -> Result<usize, MachineError> {
        let name = format!("net-{}", self.free()?);
        self.plug_free(device, name, Role::Network)
    }

    /// Takes away the device in a slot: nothing of it is open or touches the guest's memory afterwards.
    pub(super) fn unplug(&mut self, slot: u32) -> Result<(), SlotError> {
        let index = usize::try_from(slot).unwrap_or(usize::MAX);
        let filled = self.filled.get_mut(index).ok_or(SlotError::NotRemovable(slot))?;
        match filled.take() {
            Some(Plugged { device, served: Some(served) }) => {
                if let Some(transport) = self.bus.replace(index, None) {
                    unwire(&self.vm, &transport, Place::nth(index));
                }
                served.stop();
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

    /// Fills the first free slot with a device and a thread of this name to serve it; which it is.
    fn plug_free(&mut self, device: SharedDevice, thread: String, role: Role) -> Result<usize, MachineError> {
        let slot = self.free()?;
        self.plug(slot, device, None, Some((thread, role)))?;
        Ok(slot)
    }

    /// Fills a slot; with a thread of this name to serve the device, or without.
    fn plug(
        &mut self,
        slot: usize,
        device: SharedDevice,
        saved: Option<&SavedDevice>,
        thread: Option<(String, Role)>,
    ) -> Result<(), MachineError> {
        let place = Place::nth(slot);
        let interrupt = Interrupt::new().map_err(MachineError::Event)?;
        let (shared, memory) = (Arc::clone(&device), Arc::clone(&self.memory));
        let transport = match saved {
            None => Transport::new(shared, memory, interrupt).map_err(MachineError::Event)?,
            Some(saved) => Transport::restored(shared, memory, interrupt, saved)?,
        };
        if let Err(error) = self.wire(&transport, place) {
            unwire(&self.vm, &transport, place);
            return Err(error);
        }
        let served = thread.map(|(name, role)| event_loop::spawn(name, role, Arc::clone(&device)));
        let served = match served.transpose() {
            Ok(served) => served,
            Err(error) => {
                unwire(&self.vm, &transport, place);
                return Err(error.into());
            }
        };
        self.bus.replace(slot, Some(transport));
        if let Some(filled) = self.filled.get_mut(slot) {
            *filled = Some(Plugged { device, served });
        }
        Ok(())
    }

    fn wire(&self, transport: &Transport, place: Place) -> Result<(), MachineError> {
        self.vm
            .register_irqfd(transport.interrupt().irqfd(), place.gsi)
            .map_err(failed("connect an interrupt"))?;
        let notify = IoEventAddress::Mmio(place.notify_address());
        for (queue, kick) in (0_u32..).zip(transport.kicks()) {
            self.vm.register_ioevent(kick, &notify, queue).map_err(failed("watch a queue"))?;
        }
        Ok(())
    }
}

/// Undoes what was done of the wiring.
fn unwire(vm: &VmFd, transport: &Transport, place: Place) {
    // What was not wired need not be undone.
    let _ = vm.unregister_irqfd(transport.interrupt().irqfd(), place.gsi);
    let notify = IoEventAddress::Mmio(place.notify_address());
    for (queue, kick) in (0_u32..).zip(transport.kicks()) {
        let _ = vm.unregister_ioevent(kick, &notify, queue);
    }
}
