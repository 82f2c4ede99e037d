//! What a running VMM is asked to do ([`holm_protocol::vm_control`]): one request at a time over a pair of sockets.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use holm_protocol::vm_config::{DiskConfig, DiskRates, NetworkDevice, NetworkRates, PageRun};
use holm_protocol::vm_control::{
    ControlReply, ControlRequest, DevicePlace, MAX_CONTROL_BYTES, Origin, SaveScope,
};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, Shutdown, SockFlag, SockType, recv, sendmsg, setsockopt,
    shutdown, socketpair, sockopt,
};
use nix::sys::time::TimeVal;

use super::boot::VmLink;

/// How long the VMM may take: it makes or ends a thread.
const TIMEOUT_S: i64 = 10;
/// How long it may take to write its guest's memory to a file.
const SAVE_TIMEOUT_S: i64 = 120;

/// The host's end of the channel. Ends with its last owner; the VM goes on without.
#[derive(Debug)]
pub struct VmmControl(Mutex<OwnedFd>);

/// Why the VMM did not do something.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// It is gone, or does not answer.
    #[error("cannot ask the VMM")]
    Channel(#[source] io::Error),
    /// It refused.
    #[error("the VMM refused: {0}")]
    Refused(String),
}

impl From<nix::Error> for ControlError {
    fn from(error: nix::Error) -> Self {
        Self::Channel(error.into())
    }
}

impl VmmControl {
    /// A channel, and the VMM's end of it.
    ///
    /// # Errors
    /// The process is out of descriptors.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (own, others) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        let timeout = TimeVal::new(TIMEOUT_S, 0);
        setsockopt(&own, sockopt::ReceiveTimeout, &timeout)?;
        setsockopt(&own, sockopt::SendTimeout, &timeout)?;
        Ok((Self(Mutex::new(own)), others))
    }

    /// Gives the VM a network device over `link`, a TAP; where the guest finds it.
    ///
    /// # Errors
    /// The VM has none.
    pub fn add_network(&self, link: VmLink, device: NetworkDevice) -> Result<DevicePlace, ControlError> {
        self.plug(&ControlRequest::AddNetwork(device), &link.fds())
    }

    /// Gives the VM a disk over open files, one for each of its segments; where the guest finds it.
    ///
    /// # Errors
    /// The VM has none.
    pub(super) fn add_disk(&self, disk: &DiskConfig, files: &[File]) -> Result<DevicePlace, ControlError> {
        let files: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        self.plug(&ControlRequest::AddDisk(disk.clone()), &files)
    }

    fn plug(&self, request: &ControlRequest, with: &[BorrowedFd<'_>]) -> Result<DevicePlace, ControlError> {
        match self.ask(request, with)? {
            ControlReply::Plugged(place) => Ok(place),
            other => Err(unexpected(&other)),
        }
    }

    /// Takes a device away: nothing of it is open afterwards.
    ///
    /// # Errors
    /// It may still be there.
    pub fn remove_device(&self, slot: u32) -> Result<(), ControlError> {
        match self.ask(&ControlRequest::RemoveDevice { slot }, &[])? {
            ControlReply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Shares a directory that is mounted where the VMM may open files ([`holm_protocol::vm_control::LATE_SHARES`]).
    ///
    /// # Errors
    /// The VM does not have it then.
    pub(super) fn add_share(
        &self,
        number: u32,
        directory: BorrowedFd<'_>,
        only: Option<&str>,
        read_only: bool,
    ) -> Result<(), ControlError> {
        let request = ControlRequest::AddShare { number, only: only.map(str::to_owned), read_only };
        match self.ask(&request, &[directory])? {
            ControlReply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Takes a share away.
    ///
    /// # Errors
    /// It may still be there.
    pub(super) fn remove_share(&self, number: u32) -> Result<(), ControlError> {
        match self.ask(&ControlRequest::RemoveShare { number }, &[])? {
            ControlReply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Limits the VM's disk with this id, or each of them, to other rates from now on.
    ///
    /// # Errors
    /// There is no such disk, or the old rates may still hold.
    pub fn set_disk_rates(&self, disk: Option<&str>, rates: DiskRates) -> Result<(), ControlError> {
        let disk = disk.map(str::to_owned);
        match self.ask(&ControlRequest::SetDiskRates { disk, rates }, &[])? {
            ControlReply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Limits each of the VM's network devices to other rates from now on.
    ///
    /// # Errors
    /// The old rates may still hold.
    pub fn set_network_rates(&self, rates: NetworkRates) -> Result<(), ControlError> {
        match self.ask(&ControlRequest::SetNetworkRates(rates), &[])? {
            ControlReply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Has the VM write itself into two empty files, as a template or as a checkpoint. It stands still meanwhile, and as a
    /// checkpoint until [`VmmControl::go_on`].
    ///
    /// # Errors
    /// The files are of no use.
    pub fn save(&self, scope: SaveScope, state: &File, memory: &File) -> Result<(), ControlError> {
        self.wait_for(SAVE_TIMEOUT_S)?;
        let reply = self.ask(&ControlRequest::Save(scope), &[state.as_fd(), memory.as_fd()]);
        self.wait_for(TIMEOUT_S)?;
        match reply? {
            ControlReply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Lets a VM go on that was saved as a checkpoint.
    ///
    /// # Errors
    /// It may stand still for ever.
    pub fn go_on(&self) -> Result<(), ControlError> {
        match self.ask(&ControlRequest::GoOn, &[])? {
            ControlReply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// How the VM started.
    ///
    /// # Errors
    /// It does not say.
    pub fn origin(&self) -> Result<Origin, ControlError> {
        match self.ask(&ControlRequest::Origin, &[])? {
            ControlReply::Origin(origin) => Ok(origin),
            other => Err(unexpected(&other)),
        }
    }

    /// What the guest of a VM that went on from a template has written to until now.
    ///
    /// # Errors
    /// The VMM does not say.
    pub fn written(&self) -> Result<Vec<PageRun>, ControlError> {
        match self.ask(&ControlRequest::Written, &[])? {
            ControlReply::Written(written) => Ok(written),
            other => Err(unexpected(&other)),
        }
    }

    fn wait_for(&self, timeout_s: i64) -> Result<(), ControlError> {
        let socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(setsockopt(&*socket, sockopt::ReceiveTimeout, &TimeVal::new(timeout_s, 0))?)
    }

    fn ask(&self, request: &ControlRequest, with: &[BorrowedFd<'_>]) -> Result<ControlReply, ControlError> {
        let socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let packet = serde_json::to_vec(request).map_err(|error| ControlError::Channel(error.into()))?;
        let descriptors: Vec<_> = with.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&descriptors)];
        let rights = if descriptors.is_empty() { &rights[..0] } else { &rights[..] };
        sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(&packet)], rights, MsgFlags::MSG_NOSIGNAL, None)?;
        let mut reply = vec![0; MAX_CONTROL_BYTES];
        let received = recv(socket.as_raw_fd(), &mut reply, MsgFlags::empty());
        // A late answer must not pass for the next one's.
        let length = received.inspect_err(|_| {
            let _ = shutdown(socket.as_raw_fd(), Shutdown::Both);
        })?;
        let reply = serde_json::from_slice(reply.get(..length).unwrap_or_default());
        reply.map_err(|error| ControlError::Channel(error.into()))
    }
}

fn unexpected(reply: &ControlReply) -> ControlError {
    match reply {
        ControlReply::Refused(why) => ControlError::Refused(why.clone()),
        other => ControlError::Refused(format!("its answer was {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use nix::sys::socket::send;

    use super::*;

    #[test]
    fn requests_are_answered_in_turn_and_a_vmm_that_is_gone_is_told() {
        let (control, vmm) = VmmControl::pair().unwrap();
        let serving = thread::spawn(move || {
            let place = DevicePlace { slot: 3, address: 0xd000_3000, gsi: 8 };
            for reply in [ControlReply::Plugged(place), ControlReply::Refused("no".into())] {
                let mut request = [0; 1024];
                assert!(recv(vmm.as_raw_fd(), &mut request, MsgFlags::empty()).unwrap() > 0);
                send(vmm.as_raw_fd(), &serde_json::to_vec(&reply).unwrap(), MsgFlags::empty()).unwrap();
            }
        });
        let tap = std::fs::File::open("/dev/null").unwrap();
        let device =
            NetworkDevice { mac: [2, 0, 0, 0, 0, 1], mtu_bytes: 1500, rates: NetworkRates::default() };
        assert_eq!(control.add_network(VmLink::Tap(vec![tap.into()]), device).unwrap().slot, 3);
        assert!(matches!(control.remove_device(3), Err(ControlError::Refused(why)) if why == "no"));
        serving.join().unwrap();
        assert!(matches!(control.remove_device(3), Err(ControlError::Channel(_))));
    }
}
