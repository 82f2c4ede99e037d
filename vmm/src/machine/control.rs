//! Requests of the host while the VM runs ([`holm_protocol::vm_control`]), served by the main thread.
//!
//! Trust: the other end is the runtime that started this process. What it sends is checked all the same, as its configuration
//! is; a guest has no way here.

use std::fs::File;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};

use event_manager::{EventOps, Events, MutEventSubscriber};
use holm_protocol::causes::with_causes;
use holm_protocol::vm_control::{ControlReply, ControlRequest, DevicePlace, MAX_CONTROL_BYTES};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::net::RecvFlags;
use vmm_sys_util::epoll::EventSet;

use super::{Machine, MachineError};
use crate::descriptors;
use crate::devices::virtio::net::{Net, NetError, Tap};
use crate::template;

/// The host's end of a conversation, and what it is about.
pub(super) struct Control {
    socket: OwnedFd,
    machine: Arc<Mutex<Machine>>,
}

/// A packet, and the descriptors that came with it.
struct Packet {
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

impl Control {
    /// Serves requests on an inherited descriptor. Call it once.
    pub(super) fn inherited(fd: RawFd, machine: Arc<Mutex<Machine>>) -> Result<Self, MachineError> {
        let socket = descriptors::inherited(fd).map_err(MachineError::Event)?;
        fcntl_setfl(&socket, OFlags::NONBLOCK).map_err(|errno| MachineError::Event(errno.into()))?;
        Ok(Self { socket, machine })
    }

    /// Answers what is there; false when there will be nothing any more.
    fn serve(&mut self) -> bool {
        let packet = match receive(&self.socket) {
            Ok(Some(packet)) => packet,
            Err(error) if is_passing(&error) => return true,
            Ok(None) | Err(_) => return false,
        };
        let reply = self.answer(packet).unwrap_or_else(|error| {
            tracing::warn!(error, "refused a request");
            ControlReply::Refused(error)
        });
        let reply = serde_json::to_vec(&reply).unwrap_or_default();
        // Who does not listen misses the answer.
        let _ = rustix::io::write(&self.socket, &reply);
        true
    }

    fn answer(&mut self, packet: Packet) -> Result<ControlReply, String> {
        let request = serde_json::from_slice(&packet.bytes).map_err(|error| error.to_string())?;
        let mut machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        let mut descriptors = packet.descriptors.into_iter();
        match request {
            ControlRequest::AddNetwork(network) => {
                network.check().map_err(|error| error.to_string())?;
                let taps = descriptors.map(Tap::received).collect::<Result<Vec<_>, _>>();
                let taps = taps.map_err(NetError::from).map_err(|error| with_causes(&error))?;
                if taps.is_empty() {
                    return Err("a network without its TAP".to_owned());
                }
                let device = Net::new(taps, &network).map_err(|error| with_causes(&error))?;
                let slot = machine.slots.plug_network(device.into());
                plugged(slot.map_err(|error| with_causes(&error))?)
            }
            ControlRequest::AddDisk(disk) => {
                disk.check().map_err(|error| error.to_string())?;
                let slot = machine.slots.plug_disk(&disk, descriptors.map(File::from).collect());
                plugged(slot.map_err(|error| with_causes(&error))?)
            }
            ControlRequest::RemoveDevice { slot } => {
                machine.slots.unplug(slot).map_err(|error| error.to_string())?;
                Ok(ControlReply::Done)
            }
            ControlRequest::SetDiskRates { disk, rates } => {
                let set = machine.slots.set_disk_rates(disk.as_deref(), rates);
                set.map_err(|error| error.to_string())?;
                Ok(ControlReply::Done)
            }
            ControlRequest::SetNetworkRates(rates) => {
                machine.slots.set_network_rates(rates);
                Ok(ControlReply::Done)
            }
            ControlRequest::AddShare { number, only, read_only } => {
                let directory = descriptors.next().ok_or("a share without its directory")?;
                let added = machine.slots.add_share(number, directory, only.as_deref(), read_only);
                added.map_err(|error| with_causes(&error))?;
                Ok(ControlReply::Done)
            }
            ControlRequest::RemoveShare { number } => {
                machine.slots.remove_share(number).map_err(|error| error.to_string())?;
                Ok(ControlReply::Done)
            }
            ControlRequest::Save(scope) => {
                let mut file = || descriptors.next().map(File::from).ok_or("a saved VM without its files");
                let (state, memory) = (file()?, file()?);
                machine.save(scope, &state, &memory).map_err(|error| with_causes(&error))?;
                Ok(ControlReply::Done)
            }
            ControlRequest::GoOn => {
                machine.go_on().map_err(|error| with_causes(&error))?;
                Ok(ControlReply::Done)
            }
            ControlRequest::Origin => Ok(ControlReply::Origin(machine.origin.clone())),
            ControlRequest::Written => {
                let written = template::written(&machine.memory, &machine.page_map, &machine.mapped);
                written.map(ControlReply::Written).map_err(|error| with_causes(&error))
            }
        }
    }
}

fn plugged(slot: usize) -> Result<ControlReply, String> {
    let slot = u32::try_from(slot).map_err(|error| error.to_string())?;
    Ok(ControlReply::Plugged(DevicePlace::of_slot(slot)))
}

/// The next packet; `None` at the end.
fn receive(socket: &OwnedFd) -> io::Result<Option<Packet>> {
    let mut bytes = vec![0; MAX_CONTROL_BYTES];
    let (length, descriptors) = descriptors::receive(socket, &mut bytes, RecvFlags::empty())?;
    bytes.truncate(length);
    Ok((length > 0).then_some(Packet { bytes, descriptors }))
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

impl MutEventSubscriber for Control {
    fn process(&mut self, events: Events, ops: &mut EventOps<'_>) {
        if !self.serve()
            && let Err(error) = ops.remove(events)
        {
            tracing::error!(?error, "cannot forget the control channel");
        }
    }

    fn init(&mut self, ops: &mut EventOps<'_>) {
        if let Err(error) = ops.add(Events::new(&self.socket, EventSet::IN)) {
            tracing::error!(?error, "cannot watch the control channel");
        }
    }
}
