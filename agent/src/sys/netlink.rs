//! The one request of rtnetlink(7) that has no ioctl: moving an interface into another network namespace.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

// linux/netlink.h, linux/rtnetlink.h, linux/if_link.h
const RTM_NEWLINK: u16 = 16;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLMSG_ERROR: u16 = 2;
const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_FD: u16 = 28;
const HEADER_BYTES: usize = 16;
const IFINFOMSG_BYTES: usize = 16;

/// A socket of the current network namespace, for as long as it is open.
pub(crate) fn open() -> nix::Result<OwnedFd> {
    let protocol = SockProtocol::NetlinkRoute;
    socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)
}

/// Moves the interface with this index in the socket's namespace into `namespace`, where it is called `name`.
pub(crate) fn move_interface(
    socket: BorrowedFd<'_>,
    index: u32,
    namespace: BorrowedFd<'_>,
    name: &str,
) -> io::Result<()> {
    let mut message = vec![0; HEADER_BYTES + IFINFOMSG_BYTES];
    put(&mut message, 4, &RTM_NEWLINK.to_ne_bytes());
    put(&mut message, 6, &(NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
    // ifi_index
    put(&mut message, HEADER_BYTES + 4, &index.to_ne_bytes());
    attribute(&mut message, IFLA_NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes())?;
    attribute(&mut message, IFLA_IFNAME, format!("{name}\0").as_bytes())?;
    let length = u32::try_from(message.len()).map_err(io::Error::other)?;
    put(&mut message, 0, &length.to_ne_bytes());
    send(socket.as_raw_fd(), &message, MsgFlags::empty())?;
    let mut reply = [0; 4096];
    let count = recv(socket.as_raw_fd(), &mut reply, MsgFlags::empty())?;
    outcome(reply.get(..count).unwrap_or_default())
}

/// What an acknowledgement says: zero, or a negative errno behind the header.
fn outcome(reply: &[u8]) -> io::Result<()> {
    let malformed = || io::Error::from(io::ErrorKind::InvalidData);
    let kind = reply.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    let error = reply.get(16..20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match (kind, error) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(error)) => Err(Errno::from_raw(error.wrapping_neg()).into()),
        _ => Err(malformed()),
    }
}

fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) -> io::Result<()> {
    let length = u16::try_from(4 + value.len()).map_err(io::Error::other)?;
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
    Ok(())
}

fn put(message: &mut [u8], at: usize, bytes: &[u8]) {
    for (to, from) in message.iter_mut().skip(at).zip(bytes) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_are_understood() {
        let reply = |kind: u16, error: i32| {
            let mut reply = vec![0; 36];
            put(&mut reply, 4, &kind.to_ne_bytes());
            put(&mut reply, 16, &error.to_ne_bytes());
            outcome(&reply)
        };
        assert!(reply(NLMSG_ERROR, 0).is_ok());
        assert_eq!(reply(NLMSG_ERROR, -19).unwrap_err().raw_os_error(), Some(19));
        assert!(reply(RTM_NEWLINK, 0).is_err() && outcome(&[0; 3]).is_err());
    }

    #[test]
    fn attributes_are_padded() {
        let mut message = Vec::new();
        attribute(&mut message, IFLA_IFNAME, b"eth0\0").unwrap();
        assert_eq!(message, [9, 0, 3, 0, b'e', b't', b'h', b'0', 0, 0, 0, 0]);
    }
}
