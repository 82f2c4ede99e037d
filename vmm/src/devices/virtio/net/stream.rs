//! A stream socket as a link: each frame behind its length, 32 bits in network order, as QEMU's `-netdev stream` and passt have
//! it. It knows no offloads.
//!
//! # Trust
//! The other end is a process that parses what comes from networks: lengths are bounded, and one that cannot be is the end of
//! the link, as nobody knows where the next frame begins. It is also a process that opens connections for whoever sends frames:
//! see [`super::fence`]. The link may end at any time; the device goes on, with nobody to talk to.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{SockType, UnixAddr, getpeername, getsockopt, sockopt};
use vmm_sys_util::epoll::EventSet;

use super::MAX_FRAME_BYTES;
use super::config::Offloads;
use super::fence::Fence;
use super::header::HEADER_BYTES;
use super::link::{self, Link, LinkError};
use super::transmit::gather;
use crate::devices::virtio::ring::{Buffer, total_bytes};
use crate::memory::GuestRam;

const LENGTH_BYTES: usize = 4;
/// An Ethernet header.
const MIN_FRAME_BYTES: usize = 14;
/// Read at once: several of the longest frames. passt does not like to find its socket full.
const INPUT_BYTES: usize = 256 << 10;

/// A stream socket.
#[derive(Debug)]
pub struct Stream {
    socket: OwnedFd,
    /// What was read: `taken..filled` is yet to be taken.
    input: Box<[u8]>,
    taken: usize,
    filled: usize,
    /// A frame that goes out: `sent..` is yet to be sent.
    output: Vec<u8>,
    sent: usize,
    fence: Fence,
    is_down: bool,
}

impl Stream {
    /// Takes over a descriptor that was inherited by number, behind which the host's loopback appears as `host`. Call it once for
    /// each number, before devices are made.
    ///
    /// # Errors
    /// The descriptor is not what it should be.
    pub fn inherited(fd: RawFd, host: Ipv4Addr) -> Result<Self, LinkError> {
        Ok(Self::new(link::inherited(fd, require_stream)?, host))
    }

    /// A link over a connected socket that does not block.
    pub(super) fn new(socket: OwnedFd, host: Ipv4Addr) -> Self {
        let input = vec![0; INPUT_BYTES].into_boxed_slice();
        let (output, fence) = (Vec::new(), Fence::new(host));
        Self { socket, input, taken: 0, filled: 0, output, sent: 0, fence, is_down: false }
    }

    /// The next frame, if all of it is there.
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let rest = self.input.get(self.taken..self.filled).unwrap_or_default();
        let Some((length, rest)) = rest.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if !(MIN_FRAME_BYTES..=MAX_FRAME_BYTES).contains(&length) {
            self.fail("a frame of no possible length");
            return Err(io::ErrorKind::InvalidData.into());
        }
        if rest.len() < length {
            return Ok(None);
        }
        let begin = self.taken + LENGTH_BYTES;
        self.taken = begin + length;
        Ok(self.input.get(begin..self.taken))
    }

    /// Reads what is there.
    fn fill(&mut self) -> io::Result<()> {
        self.input.copy_within(self.taken..self.filled, 0);
        self.filled -= self.taken;
        self.taken = 0;
        // There is room: what is left is less than a frame.
        let room = self.input.get_mut(self.filled..).unwrap_or_default();
        match nix::unistd::read(&self.socket, room) {
            Ok(0) => {
                self.fail("it was closed");
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            Ok(count) => {
                self.filled += count;
                Ok(())
            }
            Err(error @ (Errno::EAGAIN | Errno::EINTR)) => Err(error.into()),
            Err(error) => {
                self.fail(error.desc());
                Err(error.into())
            }
        }
    }

    /// Sends what is left of a frame, as far as it goes.
    fn flush(&mut self) {
        while let Some(rest) = self.output.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match nix::unistd::write(&self.socket, rest) {
                Ok(count) => self.sent += count,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                Err(error) => return self.fail(error.desc()),
            }
        }
        self.output.clear();
        self.sent = 0;
    }

    /// There will be no frames any more.
    fn fail(&mut self, why: &str) {
        if !self.is_down {
            tracing::warn!(why, "a network's link is down");
        }
        self.is_down = true;
        self.output.clear();
        (self.sent, self.taken, self.filled) = (0, 0, 0);
    }
}

fn require_stream(socket: BorrowedFd<'_>) -> Result<(), LinkError> {
    let fd = socket.as_raw_fd();
    let is_stream =
        getsockopt(&socket, sockopt::SockType) == Ok(SockType::Stream) && getpeername::<UnixAddr>(fd).is_ok();
    if is_stream { Ok(()) } else { Err(LinkError::NotAStream(fd)) }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Link for Stream {
    fn offloads(&self) -> u64 {
        0
    }

    fn set_offloads(&mut self, _: Offloads) -> io::Result<()> {
        Ok(())
    }

    fn interests(&self) -> EventSet {
        EventSet::IN | EventSet::OUT
    }

    fn receive(&mut self, frame: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.is_down {
                return Err(io::ErrorKind::NotConnected.into());
            }
            if let Some(body) = self.next()? {
                let length = HEADER_BYTES + body.len();
                let (header, rest) = frame.split_at_mut_checked(HEADER_BYTES).unwrap_or_default();
                header.fill(0);
                let rest = rest.get_mut(..body.len()).ok_or(io::ErrorKind::InvalidInput)?;
                rest.copy_from_slice(body);
                self.fence.arrived(rest);
                return Ok(length);
            }
            self.fill()?;
        }
    }

    fn is_ready(&mut self) -> bool {
        self.flush();
        self.output.is_empty()
    }

    fn send(&mut self, memory: &GuestRam, _: &[u8; HEADER_BYTES], body: &[Buffer]) -> io::Result<()> {
        if self.is_down {
            return Err(io::ErrorKind::NotConnected.into());
        }
        if !self.output.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let length = u32::try_from(total_bytes(body)).map_err(io::Error::other)?;
        self.output.extend(length.to_be_bytes());
        self.output.resize(LENGTH_BYTES + usize::try_from(length).map_err(io::Error::other)?, 0);
        let frame = self.output.get_mut(LENGTH_BYTES..).unwrap_or_default();
        let copied = gather(memory, body, frame).map_err(io::Error::other);
        // The copy is looked at: the guest cannot change it any more.
        let may_leave = copied.is_ok() && self.fence.may_leave(frame);
        if !may_leave {
            self.output.clear();
            return copied.and(Err(io::ErrorKind::PermissionDenied.into()));
        }
        self.flush();
        Ok(())
    }
}
