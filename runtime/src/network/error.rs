//! What can go wrong with a network.

use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::container::ContainerError;
use crate::file_error::FileError;
use crate::host::DirectoriesError;

/// A network could not be made, found, used or removed.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// No network of this name or id.
    #[error("network {0} not found")]
    NotFound(String),
    /// Several ids begin so.
    #[error("multiple networks found with the id prefix {0:?}")]
    Ambiguous(String),
    /// The name is taken.
    #[error("network with name {0} already exists")]
    NameTaken(String),
    /// Docker's own names stand for what they are.
    #[error("operation is not permitted on predefined network {0}")]
    Predefined(String),
    /// The container is on it.
    #[error("endpoint with name {container} already exists in network {network}")]
    AlreadyConnected {
        /// The container's name.
        container: String,
        /// The network's.
        network: String,
    },
    /// The container is not on it.
    #[error("container {container} is not connected to network {network}")]
    NotConnected {
        /// The container's name.
        container: String,
        /// The network's.
        network: String,
    },
    /// The container was made without a network.
    #[error(
        "container cannot be connected to multiple networks with one of the networks in private (none) mode"
    )]
    Private,
    /// The default network gives out its addresses itself.
    #[error("user specified IP address is supported on user defined networks only")]
    AddressOnDefault,
    /// The default network has no names.
    #[error("network-scoped alias is supported only for containers in user defined networks")]
    AliasOnDefault,
    /// What is written down about a container.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// There is no room for one more.
    #[error("a container can be on {0} networks at most")]
    TooMany(usize),
    /// Containers are on it.
    #[error("network {name} has active endpoints: {}", users.join(", "))]
    InUse {
        /// The network.
        name: String,
        /// Containers on it.
        users: Vec<String>,
    },
    /// The subnet collides.
    #[error("subnet {0} overlaps with a route of this host or another network")]
    SubnetTaken(String),
    /// No subnet is free.
    #[error("no free subnet in 10.0.0.0/8 for another network; give one with 'holm network create --subnet'")]
    NoSubnet,
    /// No subnet is free.
    #[error("no free subnet of IPv6 for another network; give one with 'holm network create --subnet'")]
    NoSubnet6,
    /// A gateway must be an address of a station there.
    #[error("gateway {gateway} is no station's address in {subnet}")]
    GatewayOutside {
        /// What was asked for.
        gateway: IpAddr,
        /// The network's addresses.
        subnet: String,
    },
    /// Too little for IPv6.
    #[error("a network with IPv6 has an MTU of at least {0} bytes")]
    MtuBelowIpv6(u16),
    /// The network has IPv4 addresses only.
    #[error("network {0} has no IPv6 addresses; 'holm network create --ipv6' makes one that has")]
    NoIpv6(String),
    /// No address is free.
    #[error("no free address in {0}")]
    NoAddress(String),
    /// An address that was asked for belongs to somebody.
    #[error("address {0} is already in use")]
    AddressTaken(IpAddr),
    /// An address that was asked for lies elsewhere.
    #[error("address {address} is no container's address in {subnet}")]
    AddressOutside {
        /// What was asked for.
        address: IpAddr,
        /// The network's addresses.
        subnet: String,
    },
    /// A port of the host is somebody's.
    #[error(
        "cannot publish {protocol} port {address}{}",
        if source.kind() == io::ErrorKind::PermissionDenied {
            ": ports below net.ipv4.ip_unprivileged_port_start are root's; take a higher one"
        } else {
            ""
        }
    )]
    Port {
        /// `tcp` or `udp`.
        protocol: &'static str,
        /// The host's address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nobody can be put at the ports that are published over IPv6.
    #[error("cannot carry published ports over IPv6")]
    Proxy(#[source] io::Error),
    /// The host's network cannot be changed.
    #[error(
        "cannot {action}{}",
        if source.kind() == io::ErrorKind::PermissionDenied {
            ": networks need root; run Holm as root, or the container with --network none"
        } else {
            ""
        }
    )]
    Device {
        /// What was tried.
        action: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What it takes root to have.
    #[error(
        "{0} needs root: an ordinary user's containers are each on a network of their own, from which they reach the \
         outside; run Holm as root, or publish ports with -p and reach them by the host's address"
    )]
    Rootless(&'static str),
    /// passt could not be run.
    #[error(
        "cannot run passt, by which an ordinary user's containers reach networks (Debian and Ubuntu: apt install passt; \
         Fedora: dnf install passt); or run the container with --network none"
    )]
    PasstMissing(#[source] io::Error),
    /// passt did not start.
    #[error("passt refused the container's network: {0}")]
    Passt(String),
    /// nft could not be run.
    #[error(
        "cannot run nft, which networks need (Debian and Ubuntu: apt install nftables; Fedora: dnf install nftables); or \
         run the container with --network none"
    )]
    NftMissing(#[source] io::Error),
    /// nft refused the rules.
    #[error("nft refused the rules of the network: {0}")]
    Nft(String),
    /// A directory could not be made.
    #[error(transparent)]
    Directory(#[from] DirectoriesError),
    /// Something about a file.
    #[error(transparent)]
    File(#[from] FileError),
}
