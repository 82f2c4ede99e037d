//! Who is on a network, under which names.

use std::net::Ipv4Addr;

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
        hosts.push(ZoneHost { address: endpoint.address, names });
    }
    Ok(Zone { hosts })
}

impl Zone {
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn new(hosts: Vec<ZoneHost>) -> Self {
        Self { hosts }
    }

    /// Everybody of this name, whatever the case of its letters.
    pub(super) fn addresses(&self, name: &str) -> Vec<Ipv4Addr> {
        let named = |host: &&ZoneHost| host.names.iter().any(|other| other.eq_ignore_ascii_case(name));
        self.hosts.iter().filter(named).map(|host| host.address).collect()
    }

    /// The name of who has this address.
    pub(super) fn name(&self, address: Ipv4Addr) -> Option<&str> {
        self.hosts.iter().find(|host| host.address == address)?.names.first().map(String::as_str)
    }
}
