//! The supervisor's part in its container's networks. The rules are replaced while the guest boots: nobody waits for nft.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use holm_protocol::agent::NAMES_PORT;
use holm_protocol::vm_config::{NetworkDevice, NetworkRates};

use super::error::SupervisorError;
use super::run::Supervisor;
use crate::bundle::{EngineFile, FilesNetwork, engine_files};
use crate::container::settings::{NetworkRate, Settings};
use crate::container::{Container, ContainerStore};
use crate::network::{
    Attachment, Joined, NameService, Names, NetworkError, NetworkStore, RESOLVER_ADDRESS, host_nameservers,
    nameservers_of_host,
};
use crate::sandbox::{GuestInterface, GuestIpv6, HostAccess, VmNetwork, VmShape};

/// Where nameservers listen.
const DNS_PORT: u16 = 53;

/// A container's networks in one life, and the thread that connects them at its beginning.
pub(super) struct Networking {
    pub(super) networks: Arc<Mutex<Networks>>,
    connecting: Option<JoinHandle<Result<(), NetworkError>>>,
}

/// A container's networks. Shared with threads that change them.
pub(super) struct Networks {
    pub(super) store: NetworkStore,
    pub(super) container: Container,
    containers: ContainerStore,
    pub(super) attachment: Attachment,
    /// What answers its questions about names, once it is on a network that has some.
    names: Option<NameService>,
    names_socket: PathBuf,
    /// Whether they were given back: nothing changes any more.
    pub(super) is_released: bool,
}

/// What the guest is told.
#[derive(Default)]
pub(super) struct GuestNetworks {
    pub(super) files: Vec<EngineFile>,
    pub(super) interfaces: Vec<GuestInterface>,
    pub(super) serve_names: bool,
}

impl Supervisor {
    /// Gets the container addresses and interfaces, and on networks that users made somebody to ask for names.
    pub(super) fn attach_networks(
        &mut self,
        shape: VmShape,
        host: &mut HostAccess,
    ) -> Result<(), SupervisorError> {
        let store = NetworkStore::new(self.store.directories().clone());
        let connections = self.container.connections()?;
        let attached =
            Attachment::attach(store.clone(), &self.container, &connections, shape.network_queues())?;
        let Some((attachment, links)) = attached else { return Ok(()) };
        let mut networks = Networks {
            store,
            container: self.container.clone(),
            containers: self.store.clone(),
            attachment,
            names: None,
            names_socket: self.run_directory().join("vsock-names"),
            is_released: false,
        };
        for (joined, link) in networks.attachment.joined().iter().zip(links) {
            host.networks.push(VmNetwork { link, device: networks.device(joined) });
        }
        host.sockets.push((NAMES_PORT, networks.names_socket.clone()));
        let served = networks.serve_names();
        self.vm.network = Some(Networking { networks: Arc::new(Mutex::new(networks)), connecting: None });
        served.map(drop)
    }

    /// Connects the interfaces, on another thread.
    pub(super) fn begin_connecting(&mut self) {
        let slots = self.vm.sandbox.as_ref().map(|sandbox| sandbox.network_slots.clone()).unwrap_or_default();
        if let Some(networking) = &mut self.vm.network {
            let networks = Arc::clone(&networking.networks);
            networking.connecting = Some(thread::spawn(move || {
                let mut networks = lock(&networks);
                for (joined, slot) in networks.attachment.joined_mut().iter_mut().zip(slots) {
                    joined.slot = slot;
                }
                networks.attachment.connect()?;
                for joined in networks.attachment.joined() {
                    networks.store.note(&joined.network, "connect", &networks.container);
                }
                Ok(())
            }));
        }
    }

    /// Waits until the interfaces are connected; what the guest is told of them.
    pub(super) fn connected_networks(&mut self, hostname: &str) -> Result<GuestNetworks, SupervisorError> {
        let Some(networking) = &mut self.vm.network else {
            let files = engine_files(hostname, &self.container.record.settings, None);
            return Ok(GuestNetworks { files, ..GuestNetworks::default() });
        };
        networking.finish()?;
        let networks = lock(&networking.networks);
        Ok(GuestNetworks {
            files: networks.files(hostname, None),
            interfaces: networks
                .attachment
                .joined()
                .iter()
                .map(|joined| networks.interface(joined))
                .collect(),
            serve_names: networks.names.is_some(),
        })
    }

    /// Gives the host's ports back.
    pub(super) fn close_ports(&mut self) {
        if let Some(networking) = &mut self.vm.network {
            // A failure was told before.
            let _ = networking.finish();
            if let Err(error) = lock(&networking.networks).attachment.close_ports() {
                tracing::warn!(%error, "the container's ports were not given back");
            }
        }
    }

    /// Undoes what was made of the networks. The VM is gone.
    pub(super) fn release_networks(&mut self) {
        let Some(mut networking) = self.vm.network.take() else { return };
        // A failure was told before.
        let _ = networking.finish();
        let mut networks = lock(&networking.networks);
        networks.is_released = true;
        for joined in networks.attachment.joined() {
            networks.store.note(&joined.network, "disconnect", &networks.container);
        }
        if let Err(error) = networks.attachment.release() {
            // The next start or end of a container, and `holm system check --repair`, try again.
            tracing::warn!(%error, "the container's networks were not given back");
        }
    }
}

impl Networking {
    /// Waits for the thread, if there is one.
    fn finish(&mut self) -> Result<(), NetworkError> {
        // A thread that panicked has connected nothing; nor does the guest get anything to say then.
        self.connecting.take().map_or(Ok(()), |thread| thread.join().unwrap_or(Ok(())))
    }
}

impl Networks {
    /// Answers questions about names from now on if one of the networks has some; whether that is new.
    pub(super) fn serve_names(&mut self) -> Result<bool, SupervisorError> {
        if !self.attachment.serves_names() || self.names.is_some() {
            return Ok(false);
        }
        let own = &self.container.record.settings.dns;
        let nameservers = if own.is_empty() { nameservers_of_host() } else { own.clone() };
        let names = Names {
            container: self.container.id.clone(),
            store: self.store.clone(),
            containers: self.containers.clone(),
            nameservers: nameservers.into_iter().map(|server| SocketAddr::new(server, DNS_PORT)).collect(),
        };
        self.names = Some(names.serve(&self.names_socket).map_err(SupervisorError::Names)?);
        Ok(true)
    }

    /// Whether the guest has a resolver.
    pub(super) fn has_names(&self) -> bool {
        self.names.is_some()
    }

    /// What the engine's files say, with all networks but the one of the id `without`.
    pub(super) fn files(&self, hostname: &str, without: Option<&str>) -> Vec<EngineFile> {
        let settings = &self.container.record.settings;
        let joined = || self.attachment.joined().iter().filter(|j| without != Some(j.network.id.as_str()));
        let nameservers = if self.names.is_some() {
            vec![RESOLVER_ADDRESS.into()]
        } else if settings.dns.is_empty() {
            host_nameservers()
        } else {
            settings.dns.clone()
        };
        let way_out = joined().find(|joined| !joined.network.internal).or_else(|| joined().next());
        let of_network = way_out.map(|way_out| FilesNetwork {
            addresses: joined().flat_map(|joined| joined.endpoint.addresses()).collect(),
            gateway: way_out.network.gateway(),
            nameservers,
        });
        engine_files(hostname, settings, of_network.as_ref())
    }

    /// What the VM is given of a network beside its link.
    pub(super) fn device(&self, joined: &Joined) -> NetworkDevice {
        // What cannot be read now was as the container was made when it could.
        let rates =
            network_rates(self.container.settings().as_ref().unwrap_or(&self.container.record.settings));
        NetworkDevice {
            mac: joined.endpoint.mac.bytes(),
            mtu_bytes: self.attachment.mtu_bytes(joined),
            rates,
        }
    }

    /// One network, as the agent sets it up.
    pub(super) fn interface(&self, joined: &Joined) -> GuestInterface {
        let is_way_out =
            self.attachment.way_out().is_some_and(|way_out| way_out.network.id == joined.network.id);
        let ipv6 = joined.network.ipv6.zip(joined.endpoint.address6).map(|(ipv6, address)| GuestIpv6 {
            address,
            prefix_length: ipv6.subnet.prefix_length(),
            gateway: is_way_out.then_some(ipv6.gateway),
        });
        GuestInterface {
            name: format!("eth{}", joined.number),
            mac: joined.endpoint.mac.bytes(),
            address: joined.endpoint.address,
            prefix_length: joined.network.subnet.prefix_length(),
            gateway: is_way_out.then_some(joined.network.gateway()),
            ipv6,
            mtu_bytes: self.attachment.mtu_bytes(joined),
        }
    }
}

/// The rates of each of a container's interfaces.
pub(super) fn network_rates(settings: &Settings) -> NetworkRates {
    NetworkRates {
        in_bytes_per_s: settings.net_rate_in.and_then(NetworkRate::bytes_per_s),
        out_bytes_per_s: settings.net_rate_out.and_then(NetworkRate::bytes_per_s),
    }
}

pub(super) fn lock(networks: &Mutex<Networks>) -> MutexGuard<'_, Networks> {
    networks.lock().unwrap_or_else(PoisonError::into_inner)
}
