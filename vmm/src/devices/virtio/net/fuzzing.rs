//! A link without a network, for tests and fuzz targets: one end of a pair of sockets, which keep frames apart as a TAP does.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use holm_protocol::vm_config::NetworkDevice;

use super::config::{OFFLOADS, Offloads};
use super::header::HEADER_BYTES;
use super::{Link, Net, NetError};
use crate::devices::virtio::device::VirtioDevice;
use crate::devices::virtio::ring::Buffer;
use crate::memory::GuestRam;
use crate::vectors::Vectors;

/// A datagram socket as a link.
pub(super) struct Wire {
    socket: OwnedFd,
    vectors: Vectors,
    /// What the guest takes, once it said so.
    offloads: Arc<Mutex<Option<Offloads>>>,
    /// Whether it is to carry frames, as it was last told.
    pub(super) is_used: Option<bool>,
}

impl Wire {
    pub(super) fn new(socket: OwnedFd, offloads: Arc<Mutex<Option<Offloads>>>) -> Self {
        Self { socket, vectors: Vectors::default(), offloads, is_used: None }
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Link for Wire {
    fn set_offloads(&mut self, offloads: Offloads) -> io::Result<()> {
        *self.offloads.lock().unwrap_or_else(PoisonError::into_inner) = Some(offloads);
        Ok(())
    }

    fn offloads(&self) -> u64 {
        OFFLOADS
    }

    fn set_used(&mut self, used: bool) -> io::Result<()> {
        self.is_used = Some(used);
        Ok(())
    }

    fn receive(&mut self, frame: &mut [u8]) -> io::Result<usize> {
        Ok(nix::unistd::read(&self.socket, frame)?)
    }

    fn send(&mut self, memory: &GuestRam, header: &[u8; HEADER_BYTES], body: &[Buffer]) -> io::Result<()> {
        self.vectors.write(self.socket.as_fd(), header, memory, body)
    }
}

/// A device over datagram sockets that do not block, one for each pair of queues. Frames there have their header in front.
///
/// # Errors
/// As [`Net::new`].
pub fn over_datagrams(
    sockets: Vec<OwnedFd>,
    config: &NetworkDevice,
) -> Result<impl VirtioDevice + use<>, NetError> {
    Net::new(sockets.into_iter().map(|socket| Wire::new(socket, Arc::default())), config)
}
