//! Which networks a container is to be on: what `network connect` and `disconnect` change.

use super::error::NetworkError;
use super::record::Network;
use super::store::NetworkStore;
use crate::container::Container;
use crate::container::settings::NetworkConnection;
use crate::events::{Event, Journal, Kind};

impl NetworkStore {
    /// Checks that a container may be connected so; the network.
    ///
    /// # Errors
    /// There is no such network, the container is on it, or may be on none, or what is asked for is not to be had there.
    pub fn check_connection(
        &self,
        container: &Container,
        connection: &NetworkConnection,
    ) -> Result<Network, NetworkError> {
        let network = self.find(&connection.network)?;
        if container.record.settings.network.network().is_none() {
            return Err(NetworkError::Private);
        }
        check_details(&network, connection)?;
        if connections(container)?.iter().any(|other| network.is_meant_by(&other.network)) {
            return Err(NetworkError::AlreadyConnected {
                container: container.name.to_string(),
                network: network.name.to_string(),
            });
        }
        Ok(network)
    }

    /// Writes down that a container is on one more network from now on. Whoever does that holds the container's lock.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn note_connected(
        &self,
        container: &Container,
        network: &Network,
        connection: &NetworkConnection,
    ) -> Result<(), NetworkError> {
        let mut all = connections(container)?;
        all.push(NetworkConnection { network: network.name.to_string(), ..connection.clone() });
        Ok(container.set_connections(&all)?)
    }

    /// Writes down that a container is not on a network any more. Whoever does that holds the container's lock.
    ///
    /// # Errors
    /// It was not on it, or that cannot be written.
    pub fn note_disconnected(&self, container: &Container, network: &Network) -> Result<(), NetworkError> {
        let mut all = connections(container)?;
        let before = all.len();
        all.retain(|connection| !network.is_meant_by(&connection.network));
        if all.len() == before {
            return Err(NetworkError::NotConnected {
                container: container.name.to_string(),
                network: network.name.to_string(),
            });
        }
        Ok(container.set_connections(&all)?)
    }

    /// Writes an event: `connect` or `disconnect`.
    pub fn note(&self, network: &Network, action: &str, container: &Container) {
        let attributes = [
            ("container", container.id.to_string()),
            ("name", network.name.to_string()),
            ("type", "bridge".to_owned()),
        ];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value)).into();
        Journal::of(self.directories.root()).note(&Event::now(
            Kind::Network,
            action,
            &network.id,
            attributes,
        ));
    }
}

/// What only networks that users made have, as in Docker.
///
/// # Errors
/// Says what is not to be had.
pub fn check_details(network: &Network, connection: &NetworkConnection) -> Result<(), NetworkError> {
    match connection {
        _ if !network.is_default() => Ok(()),
        NetworkConnection { ip: Some(_), .. } | NetworkConnection { ip6: Some(_), .. } => {
            Err(NetworkError::AddressOnDefault)
        }
        NetworkConnection { aliases, .. } if !aliases.is_empty() => Err(NetworkError::AliasOnDefault),
        _ => Ok(()),
    }
}

fn connections(container: &Container) -> Result<Vec<NetworkConnection>, NetworkError> {
    Ok(container.connections()?)
}
