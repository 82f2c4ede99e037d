//! The devices of a configuration, plugged in: each made, put behind a transport, wired to KVM and given to the event
//! loop that serves it.

use std::sync::{Arc, Mutex};

use holm_protocol::vm_config::VmConfig;
use kvm_ioctls::{IoEventAddress, VmFd};

use super::MachineError;
use super::vm::failed;
use crate::devices::virtio::block::Block;
use crate::devices::virtio::interrupt::Interrupt;
use crate::devices::virtio::mmio::{Place, SharedDevice, Transport};
use crate::devices::virtio::rng::Rng;
use crate::devices::virtio::vsock::Vsock;
use crate::event_loop::{self, EventLoop};
use crate::memory::GuestRam;

/// What was plugged in, in the order of the guest's addresses.
pub(super) struct Plugged {
    pub(super) places: Vec<Place>,
    pub(super) transports: Vec<Transport>,
}

/// Plugs in the disks in their order, then vsock, then the entropy device.
pub(super) fn devices(
    config: &VmConfig,
    vm: &VmFd,
    memory: &Arc<GuestRam>,
    main_loop: &mut EventLoop,
) -> Result<Plugged, MachineError> {
    let mut plugged = Plugged { places: Vec::new(), transports: Vec::new() };
    for disk in &config.disks {
        let device: SharedDevice = Arc::new(Mutex::new(Block::new(disk)?));
        plugged.plug(vm, memory, Arc::clone(&device))?;
        event_loop::spawn(format!("disk-{}", disk.id), device)?;
    }
    if let Some(vsock) = &config.vsock {
        let device = Arc::new(Mutex::new(Vsock::new(vsock)?));
        plugged.plug(vm, memory, device.clone())?;
        main_loop.add(device);
    }
    let rng = Arc::new(Mutex::new(Rng::new()?));
    plugged.plug(vm, memory, rng.clone())?;
    main_loop.add(rng);
    Ok(plugged)
}

impl Plugged {
    fn plug(&mut self, vm: &VmFd, memory: &Arc<GuestRam>, device: SharedDevice) -> Result<(), MachineError> {
        let place = Place::nth(self.places.len());
        let interrupt = Interrupt::new().map_err(MachineError::Event)?;
        let transport = Transport::new(device, Arc::clone(memory), interrupt).map_err(MachineError::Event)?;
        vm.register_irqfd(transport.interrupt().irqfd(), place.gsi)
            .map_err(failed("connect an interrupt"))?;
        let notify = IoEventAddress::Mmio(place.notify_address());
        for (queue, kick) in (0_u32..).zip(transport.kicks()) {
            vm.register_ioevent(kick, &notify, queue).map_err(failed("watch a queue"))?;
        }
        self.places.push(place);
        self.transports.push(transport);
        Ok(())
    }
}
