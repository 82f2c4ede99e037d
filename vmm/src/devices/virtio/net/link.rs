//! The other end of the wire: a TAP interface that the VMM was given (Linux: Documentation/networking/tuntap.rst).
#![allow(unsafe_code)] // taking over an inherited descriptor, ioctls on it

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::config::Offloads;
use super::header::HEADER_BYTES;

/// What a network device sends to and receives from: a descriptor that gives and takes one frame per read and write, each
/// behind a `struct virtio_net_hdr`, and does not block.
pub trait Link: AsFd + Send {
    /// Says what the guest takes: from now on frames may come with these offloads.
    ///
    /// # Errors
    /// The link cannot do that.
    fn set_offloads(&mut self, offloads: Offloads) -> io::Result<()>;
}

/// Why a descriptor cannot be used as a TAP.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It is not open, or one of the standard streams.
    #[error("descriptor {0} is not an open descriptor for a network")]
    Descriptor(RawFd),
    /// It is something else.
    #[error("descriptor {0} is no TAP interface with IFF_VNET_HDR and IFF_NO_PI")]
    NotATap(RawFd),
    /// The kernel refuses.
    #[error("cannot set up the TAP interface")]
    Setup(#[source] io::Error),
}

/// A TAP interface.
#[derive(Debug)]
pub struct Tap(OwnedFd);

impl Tap {
    /// Takes over a descriptor that was inherited by number. Call it once for each number, before devices are made.
    ///
    /// # Errors
    /// The descriptor is not what it should be.
    pub fn inherited(fd: RawFd) -> Result<Self, LinkError> {
        // SAFETY: F_GETFD takes no pointer.
        if fd <= libc::STDERR_FILENO || unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
            return Err(LinkError::Descriptor(fd));
        }
        require_tap(fd)?;
        // SAFETY: the descriptor is open and a TAP, which nothing in this process opens: it is the one that the parent gave
        // to this process for this one use.
        Self::new(unsafe { OwnedFd::from_raw_fd(fd) })
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
        let tap = Self(fd);
        tap.set_up().map_err(LinkError::Setup)?;
        Ok(tap)
    }

    fn set_up(&self) -> io::Result<()> {
        let fd = self.0.as_raw_fd();
        let header_bytes = libc::c_int::try_from(HEADER_BYTES).map_err(io::Error::other)?;
        // SAFETY: these take no pointer.
        succeeded(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) })?;
        // SAFETY: as above.
        succeeded(unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) })?;
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

fn succeeded(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Link for Tap {
    fn set_offloads(&mut self, offloads: Offloads) -> io::Result<()> {
        let bits = [
            (offloads.guest_checksum, libc::TUN_F_CSUM),
            (offloads.guest_tso4, libc::TUN_F_TSO4),
            (offloads.guest_tso6, libc::TUN_F_TSO6),
        ];
        let wanted = bits.iter().filter(|(is_wanted, _)| *is_wanted).fold(0, |all, (_, bit)| all | bit);
        // SAFETY: TUNSETOFFLOAD takes its argument by value.
        succeeded(unsafe {
            libc::ioctl(self.0.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(wanted))
        })
    }
}
