//! Who is on a network, under which names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::container::{ContainerError, ContainerStore};
use crate::network::NetworkError;
use crate::network::record::Network;
use crate::network::store::NetworkStore;

/// All names of a network at a moment.
#[derive(Debug, Default)]
pub(super) struct Zone {
    hosts: Vec<ZoneHost>,
}

/// One container.
#[derive(Debug)]
pub(super) struct ZoneHost {
    pub(super) address: Ipv4Addr,
    /// Where its network has IPv6.
    pub(super) address6: Option<Ipv6Addr>,
    /// The first is the one by which the address is known.
    pub(super) names: Vec<String>,
}

/// Why it cannot be told.
#[derive(Debug, thiserror::Error)]
pub(super) enum ZoneError {
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error(transparent)]
    Container(#[from] ContainerError),
}

/// Name, short id and aliases of each container that runs on one of `networks`; each also with the network's name behind it.
pub(super) fn of(
    store: &NetworkStore,
    containers: &ContainerStore,
    networks: &[Network],
) -> Result<Zone, ZoneError> {
    let mut hosts = Vec::new();
    for endpoint in store.living_endpoints()? {
        let Some(network) = networks.iter().find(|network| network.id == endpoint.network_id) else {
            continue;
        };
        let container = match containers.open(endpoint.container_id) {
            Ok(container) => container,
            Err(ContainerError::NotFound(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        let aliases = endpoint.aliases.into_iter();
        let short = [container.name.to_string(), container.id.short().to_owned()].into_iter().chain(aliases);
        let names = short.flat_map(|name| [format!("{name}.{}", network.name), name]).collect();
        hosts.push(ZoneHost { address: endpoint.address, address6: endpoint.address6, names });
    }
    Ok(Zone { hosts })
}

impl Zone {
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn new(hosts: Vec<ZoneHost>) -> Self {
        Self { hosts }
    }

    /// Where everybody of this name is, whatever the case of its letters.
    pub(super) fn addresses(&self, name: &str) -> Vec<IpAddr> {
        let named = |host: &&ZoneHost| host.names.iter().any(|other| other.eq_ignore_ascii_case(name));
        self.hosts.iter().filter(named).flat_map(ZoneHost::addresses).collect()
    }

    /// The name of who has this address.
    pub(super) fn name(&self, address: IpAddr) -> Option<&str> {
        let is_its = |host: &&ZoneHost| host.addresses().any(|own| own == address);
        self.hosts.iter().find(is_its)?.names.first().map(String::as_str)
    }
}

impl ZoneHost {
    fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        [Some(self.address.into()), self.address6.map(IpAddr::V6)].into_iter().flatten()
    }
}
