//! Devices in their slots: each made, put behind a transport, wired to KVM, and served by an event loop.
//!
//! ```text
//!   empty ──plug: KVM wired, transport on the bus──> filled ──unplug: transport off the bus, KVM unwired, thread ended──> empty
//! ```
//!
//! A slot is a place in the guest's address space with an interrupt line of its own ([`Place`]). The devices of the
//! configuration fill the first ones before the guest starts, and are named on its command line; further ones come and go on
//! request ([`super::control`]).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use holm_protocol::vm_config::{NetworkDevice, VmConfig};
use kvm_ioctls::{IoEventAddress, VmFd};

use super::MachineError;
use super::vm::failed;
use crate::devices::bus::Bus;
use crate::devices::virtio::balloon::Balloon;
use crate::devices::virtio::block::Block;
use crate::devices::virtio::fs::Fs;
use crate::devices::virtio::interrupt::Interrupt;
use crate::devices::virtio::mmio::{Place, SharedDevice, Transport};
use crate::devices::virtio::net::{Net, NetError, Tap};
use crate::devices::virtio::rng::Rng;
use crate::devices::virtio::vsock::Vsock;
use crate::event_loop::{self, EventLoop, Served};
use crate::layout::MAX_VIRTIO_DEVICES;
use crate::memory::GuestRam;

/// All slots of a VM. Belongs to the main thread.
pub(super) struct Slots {
    vm: Arc<VmFd>,
    memory: Arc<GuestRam>,
    bus: Arc<Bus>,
    /// What is known of the devices; those of the main thread's event loop stay for ever.
    filled: Vec<Option<Plugged>>,
    /// Whether the disks' rates hold no more.
    lifted: Arc<AtomicBool>,
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
}

impl Slots {
    pub(super) fn new(vm: Arc<VmFd>, memory: Arc<GuestRam>, bus: Arc<Bus>) -> Self {
        let filled = (0..MAX_VIRTIO_DEVICES).map(|_| None).collect();
        Self { vm, memory, bus, filled, lifted: Arc::default() }
    }

    /// Plugs in the disks in their order, the shares, the networks in their order, vsock, the entropy device, and the
    /// balloon ([`VmConfig::network_slot`] counts on it).
    pub(super) fn plug_all(
        &mut self,
        config: &VmConfig,
        main_loop: &mut EventLoop,
    ) -> Result<(), MachineError> {
        for disk in &config.disks {
            let device = Arc::new(Mutex::new(Block::new(disk, &self.lifted)?));
            self.plug(device, Some(format!("disk-{}", disk.id)))?;
        }
        if !config.shares.is_empty() {
            self.plug(Arc::new(Mutex::new(Fs::new(&config.shares)?)), Some("shares".to_owned()))?;
        }
        for network in &config.networks {
            self.plug_network(Tap::inherited(network.tap_fd).map_err(NetError::from)?, &network.device)?;
        }
        if let Some(vsock) = &config.vsock {
            let device = Arc::new(Mutex::new(Vsock::new(vsock)?));
            self.plug(device.clone(), None)?;
            main_loop.add(device);
        }
        let rng = Arc::new(Mutex::new(Rng::new()?));
        self.plug(rng.clone(), None)?;
        main_loop.add(rng);
        let balloon = Arc::new(Mutex::new(Balloon::new()?));
        self.plug(balloon.clone(), None)?;
        main_loop.add(balloon);
        Ok(())
    }

    /// Lets the disks be as fast as they can from now on.
    pub(super) fn lift_rates(&self) {
        self.lifted.store(true, Ordering::Relaxed);
    }

    /// Where devices are, in the order of their slots.
    pub(super) fn places(&self) -> Vec<Place> {
        let filled = (0..).zip(&self.filled).filter(|(_, plugged)| plugged.is_some());
        filled.map(|(slot, _)| Place::nth(slot)).collect()
    }

    /// Plugs in a network device; its slot.
    pub(super) fn plug_network(&mut self, tap: Tap, device: &NetworkDevice) -> Result<usize, MachineError> {
        let slot = self.free()?;
        let device = Net::new(tap, device)?;
        self.plug(Arc::new(Mutex::new(device)), Some(format!("net-{slot}")))
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
        self.filled.iter().position(Option::is_none).ok_or(SlotError::Full)
    }

    /// Fills the first free slot; with a thread of this name to serve the device, or without.
    fn plug(&mut self, device: SharedDevice, thread: Option<String>) -> Result<usize, MachineError> {
        let slot = self.free()?;
        let place = Place::nth(slot);
        let interrupt = Interrupt::new().map_err(MachineError::Event)?;
        let transport = Transport::new(Arc::clone(&device), Arc::clone(&self.memory), interrupt)
            .map_err(MachineError::Event)?;
        if let Err(error) = self.wire(&transport, place) {
            unwire(&self.vm, &transport, place);
            return Err(error);
        }
        let served = match thread.map(|name| event_loop::spawn(name, Arc::clone(&device))).transpose() {
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
        Ok(slot)
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
