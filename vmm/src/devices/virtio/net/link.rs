//! The other end of the wire: what a network device sends to and receives from.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};

use rustix::fs::{OFlags, fcntl_setfl};
use vmm_sys_util::epoll::EventSet;

use super::config::Offloads;
use super::header::HEADER_BYTES;
use crate::descriptors;
use crate::devices::virtio::ring::Buffer;
use crate::memory::GuestRam;

/// A descriptor that carries frames and does not block. A device has one for each of its pairs of queues, all of one network. To the device each is behind a `struct virtio_net_hdr`, whatever it is
/// on the wire.
pub trait Link: AsFd + Send {
    /// The offloads among virtio-net's features that it can carry.
    fn offloads(&self) -> u64;

    /// Says what the guest takes: from now on frames may come with these offloads. Holds for all links of a device.
    ///
    /// # Errors
    /// The link cannot do that.
    fn set_offloads(&mut self, offloads: Offloads) -> io::Result<()>;

    /// Whether frames are to come by this link of a device that has several: the others get its share.
    ///
    /// # Errors
    /// The link cannot do that.
    fn set_used(&mut self, used: bool) -> io::Result<()> {
        let _ = used;
        Ok(())
    }

    /// What its descriptor is watched for, by edges.
    fn interests(&self) -> EventSet {
        EventSet::IN
    }

    /// Takes one frame, behind its header; how many bytes both are.
    ///
    /// # Errors
    /// There is none, or there never will be one.
    fn receive(&mut self, frame: &mut [u8]) -> io::Result<usize>;

    /// Whether it can take a frame now. One that cannot tells by its descriptor when it can.
    fn is_ready(&mut self) -> bool {
        true
    }

    /// Sends one frame, whose body lies in guest memory and is no longer than a frame may be.
    ///
    /// # Errors
    /// The frame is lost.
    fn send(&mut self, memory: &GuestRam, header: &[u8; HEADER_BYTES], body: &[Buffer]) -> io::Result<()>;
}

/// Why a descriptor cannot be used as a link.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It is not open, or one of the standard streams.
    #[error("descriptor {0} is not an open descriptor for a network")]
    Descriptor(RawFd),
    /// It is something else.
    #[error("descriptor {0} is no TAP interface with IFF_VNET_HDR and IFF_NO_PI")]
    NotATap(RawFd),
    /// It is something else.
    #[error("descriptor {0} is no connected unix stream socket")]
    NotAStream(RawFd),
    /// The kernel refuses.
    #[error("cannot set up the network's descriptor")]
    Setup(#[source] io::Error),
}

/// Takes over a descriptor that was inherited by number, and has it not block. Call it once for each number, before devices are made; `require` tells
/// whether the descriptor is of the kind that nothing in this process opens by itself.
pub(super) fn inherited(
    number: RawFd,
    require: impl FnOnce(BorrowedFd<'_>) -> Result<(), LinkError>,
) -> Result<OwnedFd, LinkError> {
    if number <= libc::STDERR_FILENO {
        return Err(LinkError::Descriptor(number));
    }
    let fd = descriptors::inherited(number).map_err(|_| LinkError::Descriptor(number))?;
    if let Err(error) = require(fd.as_fd()) {
        // It is somebody else's to close.
        let _ = fd.into_raw_fd();
        return Err(error);
    }
    fcntl_setfl(&fd, OFlags::NONBLOCK).map_err(|errno| LinkError::Setup(errno.into()))?;
    Ok(fd)
}
