//! A TAP interface as a link (Linux: Documentation/networking/tuntap.rst). It speaks `struct virtio_net_hdr` itself, and gives
//! and takes one frame with each read and write. One of several queues (`IFF_MULTI_QUEUE`) has a descriptor for each; the host's
//! kernel chooses by flow on which a frame comes, among those that are attached.
#![allow(unsafe_code)] // ioctls

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use super::config::{OFFLOADS, Offloads};
use super::header::HEADER_BYTES;
use super::io::{self as frames, Vectors};
use super::link::{self, Link, LinkError, succeeded};
use crate::devices::virtio::ring::Buffer;
use crate::memory::GuestRam;

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

    /// Takes a descriptor that came over a socket.
    ///
    /// # Errors
    /// The descriptor is not what it should be.
    pub fn received(fd: OwnedFd) -> Result<Self, LinkError> {
        require_tap(fd.as_raw_fd())?;
        Self::new(fd)
    }

    fn new(fd: OwnedFd) -> Result<Self, LinkError> {
        let tap = Self { fd, vectors: Vectors::default(), is_attached: true };
        tap.set_up().map_err(LinkError::Setup)?;
        Ok(tap)
    }

    fn set_up(&self) -> io::Result<()> {
        let fd = self.fd.as_raw_fd();
        let header_bytes = libc::c_int::try_from(HEADER_BYTES).map_err(io::Error::other)?;
        link::set_up(fd)?;
        // SAFETY: TUNSETVNETHDRSZ reads an int.
        succeeded(unsafe { libc::ioctl(fd, libc::TUNSETVNETHDRSZ, &raw const header_bytes) })
    }
}

fn require_tap(fd: RawFd) -> Result<(), LinkError> {
    // SAFETY: all-zero is a valid ifreq: bytes and integers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // SAFETY: TUNGETIFF fills the ifreq; other devices refuse it.
    if unsafe { libc::ioctl(fd, libc::TUNGETIFF, &raw mut request) } < 0 {
        return Err(LinkError::NotATap(fd));
    }
    let wanted = libc::IFF_TAP | libc::IFF_VNET_HDR | libc::IFF_NO_PI;
    // SAFETY: TUNGETIFF fills in the flags member of the union.
    let flags = libc::c_int::from(unsafe { request.ifr_ifru.ifru_flags });
    if flags & wanted == wanted { Ok(()) } else { Err(LinkError::NotATap(fd)) }
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
        // SAFETY: TUNSETOFFLOAD takes its argument by value.
        succeeded(unsafe {
            libc::ioctl(self.fd.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(wanted))
        })
    }

    fn set_used(&mut self, used: bool) -> io::Result<()> {
        if self.is_attached == used {
            return Ok(());
        }
        let flag = if used { libc::IFF_ATTACH_QUEUE } else { libc::IFF_DETACH_QUEUE };
        // SAFETY: all-zero is a valid ifreq: bytes and integers.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        request.ifr_ifru.ifru_flags = libc::c_short::try_from(flag).map_err(io::Error::other)?;
        // SAFETY: TUNSETQUEUE reads the flags of an ifreq.
        succeeded(unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::TUNSETQUEUE, &raw const request) })?;
        self.is_attached = used;
        Ok(())
    }

    fn receive(&mut self, frame: &mut [u8]) -> io::Result<usize> {
        frames::receive(self.fd.as_fd(), frame)
    }

    fn send(&mut self, memory: &GuestRam, header: &[u8; HEADER_BYTES], body: &[Buffer]) -> io::Result<()> {
        frames::send(self.fd.as_fd(), memory, header, body, &mut self.vectors)
    }
}
