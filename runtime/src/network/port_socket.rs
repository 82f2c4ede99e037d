//! Holding a port of the host while a container publishes it.
//!
//! The rules carry the packets; the socket keeps everybody else from taking the port, finds a free one, and says at once
//! when it is somebody's. It is closed when its process ends, however that happens.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use super::endpoint::PublishedPort;
use super::error::NetworkError;
use crate::container::settings::{PortMapping, Protocol};

/// A port that is ours.
#[derive(Debug)]
#[expect(dead_code, reason = "held, not used")]
pub(super) enum PortSocket {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

/// Takes a port for a mapping.
pub(super) fn take(mapping: &PortMapping) -> Result<(PortSocket, PublishedPort), NetworkError> {
    let address = SocketAddr::new(mapping.bind_ip(), mapping.host_port);
    let protocol = mapping.protocol.name();
    let failed = |source| NetworkError::Port { protocol, address, source };
    if address.is_ipv6() {
        return Err(failed(io::Error::other("containers have no IPv6 addresses yet")));
    }
    let (socket, bound) = match mapping.protocol {
        Protocol::Tcp => {
            let socket = TcpListener::bind(address).map_err(failed)?;
            let bound = socket.local_addr().map_err(failed)?;
            (PortSocket::Tcp(socket), bound)
        }
        Protocol::Udp => {
            let socket = UdpSocket::bind(address).map_err(failed)?;
            let bound = socket.local_addr().map_err(failed)?;
            (PortSocket::Udp(socket), bound)
        }
    };
    let published = PublishedPort {
        protocol: mapping.protocol,
        host_ip: bound.ip(),
        host_port: bound.port(),
        container_port: mapping.container_port,
    };
    Ok((socket, published))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_taken_once() {
        let mapping = |host_port| PortMapping {
            protocol: Protocol::Tcp,
            host_ip: Some("127.0.0.1".parse().unwrap()),
            host_port,
            container_port: 80,
        };
        let (_socket, published) = take(&mapping(0)).unwrap();
        assert_ne!(published.host_port, 0);
        let error = take(&mapping(published.host_port)).unwrap_err();
        assert!(
            matches!(error, NetworkError::Port { ref source, .. } if source.kind() == io::ErrorKind::AddrInUse)
        );
    }
}
