//! Whom the guest may call: programs of the host behind the allowed ports, to whom the host connects it.
//!
//! This process is in a jail and can connect to nothing. It sends the port on a channel that it inherited and receives a connected
//! socket, or nothing (`holm_protocol::vm_dial`).
//!
//! Trust: the guest chooses the port, and only from the list. The host answers at once; should it not, the guest's calls are
//! refused from then on.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use holm_protocol::vm_dial::{CONNECTED, REFUSED};
use nix::sys::socket::{Shutdown, setsockopt, shutdown, sockopt};
use nix::sys::time::TimeVal;
use rustix::net::RecvFlags;

use super::VsockError;
use crate::descriptors;

/// How long the host may take. The device waits, and with it the guest that called.
const PATIENCE_S: i64 = 2;

/// The list of ports, and who connects.
#[derive(Debug)]
pub(super) struct Dialler {
    ports: HashSet<u32>,
    channel: Option<OwnedFd>,
}

impl Dialler {
    /// Takes over the channel that was inherited.
    pub(super) fn new(ports: &[u32], channel: Option<RawFd>) -> Result<Self, VsockError> {
        let channel = channel.map(descriptors::inherited).transpose().map_err(VsockError::DialChannel)?;
        if let Some(channel) = &channel {
            let patience = TimeVal::new(PATIENCE_S, 0);
            setsockopt(channel, sockopt::ReceiveTimeout, &patience)
                .and_then(|()| setsockopt(channel, sockopt::SendTimeout, &patience))
                .map_err(|errno| VsockError::DialChannel(errno.into()))?;
        }
        Ok(Self { ports: ports.iter().copied().collect(), channel })
    }

    /// Whether the port is in the list.
    pub(super) fn allows(&self, port: u32) -> bool {
        self.ports.contains(&port)
    }

    /// A connection to whoever listens behind the port. `None` when the port is not allowed, nobody listens there, the listener's
    /// queue is full or the process is out of descriptors: all the same to the guest.
    pub(super) fn dial(&self, port: u32) -> Option<UnixStream> {
        let channel = self.channel.as_ref().filter(|_| self.allows(port))?;
        match ask(channel, port) {
            Ok(stream) => stream,
            Err(error) => {
                // A late answer must not pass for the next one's.
                let _ = shutdown(channel.as_raw_fd(), Shutdown::Both);
                tracing::warn!(%error, "the host does not answer the guest's calls");
                None
            }
        }
    }
}

fn ask(channel: &OwnedFd, port: u32) -> io::Result<Option<UnixStream>> {
    rustix::io::write(channel, &port.to_le_bytes())?;
    let mut answer = [REFUSED];
    let (length, descriptors) = descriptors::receive(channel, &mut answer, RecvFlags::empty())?;
    if length == 0 {
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    let stream = descriptors.into_iter().next().filter(|_| answer == [CONNECTED]).map(UnixStream::from);
    Ok(stream.filter(|stream| stream.set_nonblocking(true).is_ok()))
}

#[cfg(test)]
mod tests {
    use std::os::fd::IntoRawFd;

    use nix::errno::Errno;
    use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, socketpair};

    use super::*;

    #[test]
    fn a_host_that_is_gone_refuses() {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (host, channel) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).unwrap();
        let dialler = Dialler::new(&[1, 2], Some(channel.into_raw_fd())).unwrap();
        assert!(dialler.dial(3).is_none());
        let mut nothing = [0; 4];
        assert_eq!(recv(host.as_raw_fd(), &mut nothing, MsgFlags::MSG_DONTWAIT), Err(Errno::EAGAIN));
        drop(host);
        assert!(dialler.dial(1).is_none());
        assert!(dialler.allows(2) && dialler.dial(2).is_none());
    }
}
