//! Descriptors that others give to this process: by number when it starts, in packets while it runs.
#![allow(unsafe_code)] // taking over descriptors of which only the number is known

use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use holm_protocol::vm_config::MAX_QUEUE_PAIRS;
use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

/// Most descriptors in one packet: the queues of a TAP.
const MAX_IN_PACKET: usize = MAX_QUEUE_PAIRS;

/// Takes over a descriptor that the parent named. Call it once for each number.
///
/// # Errors
/// It is not open.
pub(crate) fn inherited(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_SETFD takes no pointer.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open, and the parent gave it to this process for this one use: the configuration's check told
    // it from all others, and nothing here opens a descriptor that could have this number by chance.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Receives a packet into `bytes`: its length, 0 at the end, and the descriptors that came with it. Of too many, and where this
/// process is out of descriptors, some are missing.
///
/// # Errors
/// There is no packet, or no other end.
pub(crate) fn receive(
    socket: &OwnedFd,
    bytes: &mut [u8],
    flags: MsgFlags,
) -> nix::Result<(usize, Vec<OwnedFd>)> {
    let mut space = cmsg_space!([RawFd; MAX_IN_PACKET]);
    let mut buffers = [IoSliceMut::new(bytes)];
    let flags = flags | MsgFlags::MSG_CMSG_CLOEXEC;
    let received = recvmsg::<()>(socket.as_raw_fd(), &mut buffers, Some(&mut space), flags)?;
    let mut descriptors = Vec::new();
    for message in received.cmsgs()? {
        if let ControlMessageOwned::ScmRights(received) = message {
            for fd in received {
                // SAFETY: the kernel has just opened it for this process, and nobody else knows of it.
                descriptors.push(unsafe { OwnedFd::from_raw_fd(fd) });
            }
        }
    }
    Ok((received.bytes, descriptors))
}
