//! Holding a port of the host while a container publishes it.
//!
//! The rules carry the packets of IPv4, and those of IPv6 that they can; the socket keeps everybody else from taking the port, finds
//! a free one, and says at once when it is somebody's. It is closed when its process ends, however that happens. What comes over
//! IPv6 past the rules arrives at it, and is the [`super::proxy`]'s.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, socket, sockopt,
};

use super::endpoint::PublishedPort;
use super::error::NetworkError;
use crate::container::settings::{PortMapping, Protocol};

/// Ports that are tried for one that is free over both families.
const ATTEMPTS: usize = 16;

/// What else a supervisor has open at most.
const OTHER_FILES: usize = 1024;

/// A port that is ours.
#[derive(Debug)]
pub(super) enum PortSocket {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

/// A socket and what it stands for.
pub(super) type Taken = (PortSocket, PublishedPort);

/// Lets this process have a socket for each of so many mappings over both families.
pub(super) fn make_room(mappings: usize) {
    let wanted = u64::try_from(mappings * 2 + OTHER_FILES).unwrap_or(u64::MAX);
    let limits = getrlimit(Resource::RLIMIT_NOFILE);
    if let Ok((soft, hard)) = limits
        && soft < wanted
    {
        // If it may not, the socket that is one too many says so.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard);
    }
}

/// Takes a port for a mapping, over both families where it names no address and the host speaks both, as Docker does. passt,
/// which publishes for those who are `is_rootless`, speaks IPv4 only.
pub(super) fn take(mapping: &PortMapping, is_rootless: bool) -> Result<Vec<Taken>, NetworkError> {
    let everywhere = IpAddr::from(Ipv4Addr::UNSPECIFIED);
    match mapping.host_ip {
        Some(ip) if ip.is_ipv6() && is_rootless => {
            let source = io::Error::other("an ordinary user's ports are published over IPv4");
            Err(failure(mapping, SocketAddr::new(ip, mapping.host_port), source))
        }
        Some(ip) => Ok(vec![take_at(mapping, ip, mapping.host_port)?]),
        None if is_rootless => Ok(vec![take_at(mapping, everywhere, mapping.host_port)?]),
        None => {
            let mut attempt = 1;
            loop {
                let ipv4 = take_at(mapping, everywhere, mapping.host_port)?;
                let port = ipv4.1.host_port;
                match take_at(mapping, Ipv6Addr::UNSPECIFIED.into(), port) {
                    Ok(ipv6) => return Ok(vec![ipv4, ipv6]),
                    Err(NetworkError::Port { source, .. }) if is_without_ipv6(&source) => {
                        return Ok(vec![ipv4]);
                    }
                    Err(_) if mapping.host_port == 0 && attempt < ATTEMPTS => attempt += 1,
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

/// Whether that is what a host says that speaks no IPv6.
fn is_without_ipv6(error: &io::Error) -> bool {
    let codes = [nix::errno::Errno::EAFNOSUPPORT, nix::errno::Errno::EADDRNOTAVAIL];
    codes.iter().any(|code| error.raw_os_error() == Some(*code as i32))
}

fn failure(mapping: &PortMapping, address: SocketAddr, source: io::Error) -> NetworkError {
    NetworkError::Port { protocol: mapping.protocol.name(), address, source }
}

fn take_at(mapping: &PortMapping, ip: IpAddr, port: u16) -> Result<Taken, NetworkError> {
    let address = SocketAddr::new(ip, port);
    let taken = match mapping.protocol {
        Protocol::Tcp => open(SockType::Stream, address).and_then(|socket| {
            listen(&socket, Backlog::MAXCONN)?;
            let socket = TcpListener::from(socket);
            Ok((socket.local_addr()?, PortSocket::Tcp(socket)))
        }),
        Protocol::Udp => open(SockType::Datagram, address).and_then(|socket| {
            let socket = UdpSocket::from(socket);
            Ok((socket.local_addr()?, PortSocket::Udp(socket)))
        }),
    };
    let (bound, socket) = taken.map_err(|source| failure(mapping, address, source))?;
    let published = PublishedPort {
        protocol: mapping.protocol,
        host_ip: bound.ip(),
        host_port: bound.port(),
        container_port: mapping.container_port,
    };
    Ok((socket, published))
}

/// A socket at an address of its own family alone: a port is one thing over IPv4 and another over IPv6.
fn open(kind: SockType, address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let socket = socket(family, kind, SockFlag::SOCK_CLOEXEC, None)?;
    if address.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    if kind == SockType::Stream {
        // What the last container's connections left does not hold the port.
        setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    }
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(host_ip: Option<&str>, host_port: u16) -> PortMapping {
        let host_ip = host_ip.map(|ip| ip.parse().unwrap());
        PortMapping { protocol: Protocol::Tcp, host_ip, host_port, container_port: 80 }
    }

    fn is_in_use(taken: Result<Vec<Taken>, NetworkError>) -> bool {
        matches!(taken, Err(NetworkError::Port { source, .. }) if source.kind() == io::ErrorKind::AddrInUse)
    }

    #[test]
    fn a_port_is_taken_once() {
        let taken = take(&mapping(Some("127.0.0.1"), 0), false).unwrap();
        let [(_, published)] = taken.as_slice() else { panic!("{taken:?}") };
        assert_ne!(published.host_port, 0);
        assert!(is_in_use(take(&mapping(Some("127.0.0.1"), published.host_port), false)));
    }

    #[test]
    fn without_an_address_a_port_is_the_same_one_over_both_families() {
        let taken = take(&mapping(None, 0), false).unwrap();
        let ports: Vec<_> =
            taken.iter().map(|(_, port)| (port.host_ip.to_string(), port.host_port)).collect();
        let port = ports[0].1;
        assert_eq!(ports[0].0, "0.0.0.0");
        // Hosts without IPv6 have the first one alone.
        assert!(ports.len() == 1 || ports[1] == ("::".into(), port), "{ports:?}");
        if ports.len() == 2 {
            assert!(is_in_use(take(&mapping(Some("::1"), port), false)));
        }
        drop(taken);
        assert_eq!(take(&mapping(None, port), true).unwrap().len(), 1, "passt's");
        assert!(take(&mapping(Some("::1"), 0), true).is_err());
    }
}
