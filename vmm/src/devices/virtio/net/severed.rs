//! A link that leads nowhere: what the network device of a checkpoint has until the agent has given it up. The VM's networks are
//! others by then.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;

use super::config::{OFFLOADS, Offloads};
use super::header::HEADER_BYTES;
use super::link::Link;
use crate::devices::virtio::ring::Buffer;
use crate::memory::GuestRam;

/// Nothing comes from it, and what is sent is lost.
#[derive(Debug)]
pub struct Severed(UnixDatagram);

impl Severed {
    /// A link over a descriptor on which nothing ever happens.
    ///
    /// # Errors
    /// The process is out of file descriptors.
    pub fn new() -> io::Result<Self> {
        UnixDatagram::unbound().map(Self)
    }
}

impl AsFd for Severed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Link for Severed {
    fn offloads(&self) -> u64 {
        OFFLOADS
    }

    fn set_offloads(&mut self, _: Offloads) -> io::Result<()> {
        Ok(())
    }

    fn receive(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn send(&mut self, _: &GuestRam, _: &[u8; HEADER_BYTES], _: &[Buffer]) -> io::Result<()> {
        Ok(())
    }
}
