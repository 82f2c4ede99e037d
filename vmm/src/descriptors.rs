//! Descriptors that others give to this process: by number when it starts, in packets while it runs.
#![allow(unsafe_code)] // taking over descriptors of which only the number is known

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use holm_protocol::vm_config::MAX_QUEUE_PAIRS;
use rustix::cmsg_space;
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// Descriptors for which there is room with one packet: the queues of a TAP.
const MAX_IN_PACKET: usize = MAX_QUEUE_PAIRS;

/// Takes over a descriptor that the parent named; children do not get it. Call it once for each number.
///
/// # Errors
/// It is not open.
pub(crate) fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(Errno::BADF.into());
    }
    // SAFETY: the parent gave it to this process for this one use: the configuration's check told it from all others, and
    // nothing here opens a descriptor that could have this number by chance. One that is not open is given up unclosed.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    match fcntl_setfd(&descriptor, FdFlags::CLOEXEC) {
        Ok(()) => Ok(descriptor),
        Err(errno) => {
            let _ = descriptor.into_raw_fd();
            Err(errno.into())
        }
    }
}

/// Receives a packet into `bytes`: its length, 0 at the end, and the descriptors that came with it, which children do not get.
/// Of too many, and where this process is out of descriptors, some are missing.
///
/// # Errors
/// There is no packet, or no other end.
pub(crate) fn receive(
    socket: impl AsFd,
    bytes: &mut [u8],
    flags: RecvFlags,
) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_IN_PACKET))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut buffers = [IoSliceMut::new(bytes)];
    let received = recvmsg(socket, &mut buffers, &mut control, flags | RecvFlags::CMSG_CLOEXEC)?;
    let descriptors = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    Ok((received.bytes, descriptors.flatten().collect()))
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::os::fd::AsRawFd;

    use rustix::io::fcntl_getfd;
    use rustix::net::{
        AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
        sendmsg, socketpair,
    };

    use super::*;

    #[test]
    fn what_is_not_open_is_not_taken_over() {
        for number in [-1, i32::MIN, 1_000_000] {
            assert_eq!(inherited(number).unwrap_err().raw_os_error(), Some(libc::EBADF));
        }
    }

    #[test]
    fn descriptors_arrive_and_children_do_not_get_them() {
        let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
        let (near, far) = socketpair(AddressFamily::UNIX, kind, flags, None).unwrap();
        let sent = tempfile::tempfile().unwrap();
        let rights = vec![sent.as_fd(); MAX_IN_PACKET];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_IN_PACKET))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&rights)));
        sendmsg(&far, &[IoSlice::new(b"abc")], &mut control, SendFlags::empty()).unwrap();
        let mut bytes = [0; 8];
        let (length, descriptors) = receive(&near, &mut bytes, RecvFlags::DONTWAIT).unwrap();
        assert_eq!((&bytes[..length], descriptors.len()), (&b"abc"[..], MAX_IN_PACKET));
        for descriptor in &descriptors {
            assert_ne!(descriptor.as_raw_fd(), sent.as_raw_fd());
            assert_eq!(fcntl_getfd(descriptor).unwrap(), FdFlags::CLOEXEC);
        }
        let error = receive(&near, &mut bytes, RecvFlags::DONTWAIT).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(far);
        assert_eq!(receive(&near, &mut bytes, RecvFlags::DONTWAIT).unwrap().0, 0);
    }
}
