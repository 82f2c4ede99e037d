//! A TAP interface as a link (Linux: Documentation/networking/tuntap.rst). It speaks `struct virtio_net_hdr` itself, and gives
//! and takes one frame with each read and write. One of several queues (`IFF_MULTI_QUEUE`) has a descriptor for each; the host's
//! kernel chooses by flow on which a frame comes, among those that are attached.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use super::config::{OFFLOADS, Offloads};
use super::header::HEADER_BYTES;
use super::link::{self, Link, LinkError};
use crate::devices::virtio::ring::Buffer;
use crate::memory::GuestRam;
use crate::tun;
use crate::vectors::Vectors;

/// A TAP interface.
#[derive(Debug)]
pub struct Tap {
    fd: OwnedFd,
    vectors: Vectors,
    /// Whether the kernel gives frames to it, if it is one of several.
    is_attached: bool,
}

impl Tap {
    /// Takes over a descriptor that was inherited by number. Call it once for each number, before devices are made.
    ///
    /// # Errors
    /// The descriptor is not what it should be.
    pub fn inherited(fd: RawFd) -> Result<Self, LinkError> {
        Self::new(link::inherited(fd, require_tap)?)
    }

    /// Takes a descriptor that came over a socket and does not block.
    ///
    /// # Errors
    /// The descriptor is not what it should be.
    pub fn received(fd: OwnedFd) -> Result<Self, LinkError> {
        require_tap(fd.as_fd())?;
        Self::new(fd)
    }

    fn new(fd: OwnedFd) -> Result<Self, LinkError> {
        tun::set_header_bytes(fd.as_fd(), HEADER_BYTES).map_err(LinkError::Setup)?;
        Ok(Self { fd, vectors: Vectors::default(), is_attached: true })
    }
}

fn require_tap(fd: BorrowedFd<'_>) -> Result<(), LinkError> {
    let wanted = libc::IFF_TAP | libc::IFF_VNET_HDR | libc::IFF_NO_PI;
    let is_tap = tun::flags(fd).is_ok_and(|flags| flags & wanted == wanted);
    if is_tap { Ok(()) } else { Err(LinkError::NotATap(fd.as_raw_fd())) }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Link for Tap {
    fn offloads(&self) -> u64 {
        OFFLOADS
    }

    fn set_offloads(&mut self, offloads: Offloads) -> io::Result<()> {
        let bits = [
            (offloads.guest_checksum, libc::TUN_F_CSUM),
            (offloads.guest_tso4, libc::TUN_F_TSO4),
            (offloads.guest_tso6, libc::TUN_F_TSO6),
        ];
        let wanted = bits.iter().filter(|(is_wanted, _)| *is_wanted).fold(0, |all, (_, bit)| all | bit);
        tun::set_offloads(self.fd.as_fd(), wanted)
    }

    fn set_used(&mut self, used: bool) -> io::Result<()> {
        if self.is_attached == used {
            return Ok(());
        }
        tun::set_attached(self.fd.as_fd(), used)?;
        self.is_attached = used;
        Ok(())
    }

    fn receive(&mut self, frame: &mut [u8]) -> io::Result<usize> {
        Ok(nix::unistd::read(&self.fd, frame)?)
    }

    fn send(&mut self, memory: &GuestRam, header: &[u8; HEADER_BYTES], body: &[Buffer]) -> io::Result<()> {
        self.vectors.write(self.fd.as_fd(), header, memory, body)
    }
}
