//! A container's way onto its networks and off them again.
//!
//! ```text
//!   attach ──> endpoints written ──> bridges, TAPs made ──┬──> VM starts with the TAPs
//!                                                         └──> connect: rules, then each TAP goes on its bridge and up
//!   add ──> the same for one network, while the VM runs          remove ──> the same as release, for one
//!   (workload) ──> close_ports: no endpoint has the ports, then they are free ──> release: rules if there were some for ports,
//!                                                                                endpoints forgotten
//! ```
//!
//! Locks: the root's network lock while addresses, bridges and interfaces change; another one while nft runs, which is slow.
//! Who waited for that finds that the rules may have been replaced meanwhile by somebody who knew its endpoint already.

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::{Duration, Instant};

use super::address_pool::{choose_address, choose_address6};
use super::endpoint::{Endpoint, PublishedPort};
use super::error::NetworkError;
use super::mac_address::MacAddress;
use super::passt::{self, Passt};
use super::port_socket::{self, PortSocket};
use super::proxy::Proxy;
use super::record::Network;
use super::store::{NetworkStore, lock_file};
use super::{netdevice, nft, ruleset};
use crate::container::Container;
use crate::container::settings::NetworkConnection;
use crate::host::{boot_id, is_rootless};
use crate::sandbox::VmLink;

/// Networks of one container.
pub const MAX_NETWORKS: usize = 8;
/// How long the interface of a VMM whose supervisor was killed may live on.
const DYING_TAP_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two looks at it.
const DYING_TAP_PAUSE: Duration = Duration::from_millis(5);

/// A container on its networks.
#[derive(Debug)]
pub struct Attachment {
    store: NetworkStore,
    container: Container,
    joined: Vec<Joined>,
    /// What is published, and the sockets that hold it.
    published: Vec<PublishedPort>,
    ports: Vec<PortSocket>,
    /// What carries that which arrives at those of IPv6.
    proxy: Option<Proxy>,
    /// Whether bridges, interfaces and rules are out of reach.
    is_rootless: bool,
    /// What speaks for it then, once it is on a network.
    passt: Option<Passt>,
    /// Queues of each interface.
    queues: usize,
    /// Whether there may be rules for ports that no endpoint has any more.
    has_stale_rules: bool,
}

/// One network of a container.
#[derive(Clone, Debug)]
pub struct Joined {
    /// The network.
    pub network: Network,
    /// What the container has of it.
    pub endpoint: Endpoint,
    /// The number of its interface: `eth0`, ...
    pub number: usize,
    /// Where its device is in the VM; set by whoever plugs it in.
    pub slot: u32,
}

impl Joined {
    fn join_bridge(&self) -> Result<(), NetworkError> {
        netdevice::join_bridge(&self.network.bridge, &self.endpoint.tap, self.network.mtu)
    }
}

impl Attachment {
    /// Puts a container whose lock this process holds onto its networks, with interfaces of this many queues; `None` for one that
    /// has none to be on. The links, in the order of [`Attachment::joined`], lead nowhere yet: see [`Attachment::connect`].
    ///
    /// # Errors
    /// No network, no address, a port that is taken, or a host that does not let itself be changed. Nothing is left then.
    pub fn attach(
        store: NetworkStore,
        container: &Container,
        connections: &[NetworkConnection],
        queues: usize,
    ) -> Result<Option<(Self, Vec<VmLink>)>, NetworkError> {
        let settings = &container.record.settings;
        if settings.network.network().is_none() {
            return Ok(None);
        }
        let is_rootless = is_rootless();
        let (mut ports, mut over6, mut published) = (Vec::new(), Vec::new(), Vec::new());
        port_socket::make_room(settings.ports.len());
        for mapping in &settings.ports {
            for (socket, port) in port_socket::take(mapping, is_rootless)? {
                if port.host_ip.is_ipv6() {
                    over6.push((socket, port.container_port));
                } else {
                    ports.push(socket);
                }
                published.push(port);
            }
        }
        if is_rootless {
            // passt takes them itself: they were free, and who comes in between is told of below.
            ports.clear();
        }
        let proxy =
            if over6.is_empty() { None } else { Some(Proxy::start(over6).map_err(NetworkError::Proxy)?) };
        let container = container.clone();
        let (joined, passt) = (Vec::new(), None);
        let has_stale_rules = false;
        let mut new = Self {
            store,
            container,
            joined,
            published,
            ports,
            proxy,
            is_rootless,
            passt,
            queues,
            has_stale_rules,
        };
        let mut links = Vec::new();
        holm_faults::crash!("network.attach.ports-taken");
        let lock = new.store.lock()?;
        for connection in connections {
            match new.join(connection) {
                Ok(link) => links.push(link),
                Err(error) => {
                    for joined in &new.joined {
                        // The first failure is the one to tell.
                        let _ = joined.endpoint.remove(&new.store.directories);
                    }
                    return Err(error);
                }
            }
        }
        holm_faults::crash!("network.attach.joined");
        drop(lock);
        new.direct_proxy();
        Ok(Some((new, links)))
    }

    /// The networks, in the order of their interfaces.
    #[must_use]
    pub fn joined(&self) -> &[Joined] {
        &self.joined
    }

    /// The same, to note where devices are.
    pub fn joined_mut(&mut self) -> &mut [Joined] {
        &mut self.joined
    }

    /// The network by which the container reaches everything else: the first that has a way there.
    #[must_use]
    pub fn way_out(&self) -> Option<&Joined> {
        self.joined.iter().find(|joined| !joined.network.internal)
    }

    /// Lets frames pass: the rules first, so that none passes without them.
    ///
    /// # Errors
    /// nft is missing or refuses, an interface is gone, or passt did not start.
    pub fn connect(&mut self) -> Result<(), NetworkError> {
        if let Some(passt) = &mut self.passt {
            return passt.await_ready();
        }
        apply_rules(&self.store, &[])?;
        self.joined.iter().try_for_each(Joined::join_bridge)
    }

    /// What the container's interface on a network carries, in bytes.
    #[must_use]
    pub fn mtu_bytes(&self, joined: &Joined) -> u16 {
        if self.is_rootless { passt::MTU_BYTES } else { joined.network.mtu.unwrap_or_default().bytes() }
    }

    /// Whether the container's nameserver is its supervisor: on networks that users made, because of their names; and where the
    /// host's own nameserver may be at an address that is not to be reached from the container.
    #[must_use]
    pub fn serves_names(&self) -> bool {
        self.is_rootless || self.joined.iter().any(|joined| !joined.network.is_default())
    }

    /// Says no to changes while the VM runs, where they cannot be made.
    ///
    /// # Errors
    /// They cannot.
    pub fn check_changeable(&self) -> Result<(), NetworkError> {
        let refusal = NetworkError::Rootless("changing the networks of a running container");
        if self.is_rootless { Err(refusal) } else { Ok(()) }
    }

    /// Puts the container on one more network, while its VM runs; its link, through which frames pass.
    ///
    /// # Errors
    /// As [`Attachment::attach`] and [`Attachment::connect`]; nothing is left then.
    pub fn add(&mut self, connection: &NetworkConnection) -> Result<(Joined, VmLink), NetworkError> {
        let lock = self.store.lock()?;
        let link = self.join(connection)?;
        let joined = self.joined.last().cloned().ok_or(NetworkError::TooMany(MAX_NETWORKS))?;
        self.publish()?;
        drop(lock);
        let connected = apply_rules(&self.store, &[]).and_then(|()| joined.join_bridge());
        match connected {
            Ok(()) => Ok((joined, link)),
            Err(error) => {
                drop(link);
                // The first failure is the one to tell.
                let _ = self.remove(&joined.network.id);
                Err(error)
            }
        }
    }

    /// Takes the container off a network. The VM no longer has the interface.
    ///
    /// # Errors
    /// What is left then, the next change removes.
    pub fn remove(&mut self, network_id: &str) -> Result<(), NetworkError> {
        let Some(index) = self.joined.iter().position(|joined| joined.network.id == network_id) else {
            return Ok(());
        };
        let left = self.part(index)?;
        leave(&self.store, &[left], &mut self.has_stale_rules)
    }

    /// Gives the host's ports back; others may take them from now on.
    ///
    /// # Errors
    /// It cannot be written down that they are no longer the container's. They are free all the same.
    pub fn close_ports(&mut self) -> Result<(), NetworkError> {
        self.published.clear();
        let withdrawn = self.store.lock().and_then(|_lock| self.publish());
        self.ports.clear();
        self.proxy = None;
        self.passt = None;
        withdrawn
    }

    /// Undoes all that was made. The VM must be gone.
    ///
    /// # Errors
    /// What is left then, the next container's start or end removes.
    pub fn release(&mut self) -> Result<(), NetworkError> {
        let closed = self.close_ports();
        let left: Vec<Endpoint> = self.joined.drain(..).map(|joined| joined.endpoint).collect();
        leave(&self.store, &left, &mut self.has_stale_rules).and(closed)
    }

    /// Has one network fewer: the ports lead to the container by another of them from now on. Its endpoint is there still.
    fn part(&mut self, index: usize) -> Result<Endpoint, NetworkError> {
        let _lock = self.store.lock()?;
        let mut left = self.joined.remove(index).endpoint;
        if !left.ports.is_empty() {
            left.ports.clear();
            left.write(&self.store.directories)?;
            self.has_stale_rules = true;
        }
        self.publish()?;
        Ok(left)
    }

    /// Makes one endpoint and its link; the network lock is held.
    fn join(&mut self, connection: &NetworkConnection) -> Result<VmLink, NetworkError> {
        let network = self.store.find_locked(&connection.network)?;
        if self.joined.iter().any(|joined| joined.network.id == network.id) {
            let container = self.container.name.to_string();
            return Err(NetworkError::AlreadyConnected { container, network: network.name.to_string() });
        }
        let number = (0..MAX_NETWORKS)
            .find(|number| self.joined.iter().all(|joined| joined.number != *number))
            .ok_or(NetworkError::TooMany(MAX_NETWORKS))?;
        let mut others = self.store.keep_living()?;
        others.retain(|other| other.network_id == network.id);
        let taken = others.iter().map(|other| other.address).collect();
        let taken6 = others.iter().filter_map(|other| other.address6).collect();
        let network = if self.is_rootless { network } else { self.store.ensure_bridge(network)? };
        let address = free_address(&network, connection.ip, taken)?;
        let address6 = choose_address6(&network, connection.ip6, address, &taken6)?;
        let publishes =
            self.joined.iter().all(|joined| joined.endpoint.ports.is_empty()) && !network.internal;
        let endpoint = Endpoint {
            container_id: self.container.id.clone(),
            network_id: network.id.clone(),
            address,
            address6,
            mac: connection.mac_address.unwrap_or_else(|| MacAddress::of_ip(address)),
            tap: if self.is_rootless { String::new() } else { Endpoint::tap_of(address) },
            aliases: connection.aliases.clone(),
            ports: if publishes { self.published.clone() } else { Vec::new() },
        };
        endpoint.write(&self.store.directories)?;
        holm_faults::crash!("network.endpoint.written");
        match self.make_link(&network, &endpoint) {
            Ok(link) => {
                self.joined.push(Joined { network, endpoint, number, slot: 0 });
                Ok(link)
            }
            Err(error) => {
                // The first failure is the one to tell.
                let _ = endpoint.remove(&self.store.directories);
                Err(error)
            }
        }
    }

    fn make_link(&mut self, network: &Network, endpoint: &Endpoint) -> Result<VmLink, NetworkError> {
        if !self.is_rootless {
            return netdevice::make_tap(&endpoint.tap, self.queues).map(VmLink::Tap);
        }
        if !network.is_default() {
            return Err(NetworkError::Rootless("a network that containers share"));
        }
        let (passt, link) = Passt::start(network, endpoint)?;
        self.passt = Some(passt);
        Ok(VmLink::Stream(link, network.gateway()))
    }

    /// Ports lead to the container by its way out, whichever that is now. Never have two endpoints one port, of which no rules could
    /// be made. The network lock is held.
    fn publish(&mut self) -> Result<(), NetworkError> {
        let way_out = self.way_out().map(|joined| joined.network.id.clone());
        let is_way_out = |joined: &Joined| way_out.as_ref() == Some(&joined.network.id);
        let (others, of_way_out): (Vec<_>, Vec<_>) =
            self.joined.iter_mut().partition(|joined| !is_way_out(joined));
        for joined in others.into_iter().chain(of_way_out) {
            let ports = if is_way_out(joined) { self.published.clone() } else { Vec::new() };
            if joined.endpoint.ports != ports {
                joined.endpoint.ports = ports;
                joined.endpoint.write(&self.store.directories)?;
                self.has_stale_rules = true;
            }
        }
        self.direct_proxy();
        Ok(())
    }

    /// Has the proxy lead to the container by its way out.
    fn direct_proxy(&self) {
        let Some(proxy) = &self.proxy else { return };
        let address = |endpoint: &Endpoint| endpoint.address6.map_or(endpoint.address.into(), IpAddr::from);
        proxy.lead_to(self.way_out().map(|way_out| address(&way_out.endpoint)));
    }
}

/// Takes endpoints away.
fn leave(store: &NetworkStore, leaving: &[Endpoint], has_stale_rules: &mut bool) -> Result<(), NetworkError> {
    // Rules for an address without ports suit whoever gets it next.
    if *has_stale_rules {
        // The files go last: while they are there, whoever comes after a crash knows that there is something to do.
        apply_rules(store, leaving)?;
        *has_stale_rules = false;
    }
    holm_faults::crash!("network.leave");
    let _lock = store.lock()?;
    leaving.iter().try_for_each(|endpoint| endpoint.remove(&store.directories))
}

/// An address that no endpoint and no interface has.
fn free_address(
    network: &Network,
    wanted: Option<Ipv4Addr>,
    mut taken: HashSet<Ipv4Addr>,
) -> Result<Ipv4Addr, NetworkError> {
    let deadline = Instant::now() + DYING_TAP_TIMEOUT;
    loop {
        let address = choose_address(network, wanted, &taken)?;
        if !netdevice::exists(&Endpoint::tap_of(address)) {
            return Ok(address);
        }
        if wanted.is_none() || Instant::now() > deadline {
            taken.insert(address);
        } else {
            thread::sleep(DYING_TAP_PAUSE);
        }
    }
}

/// Replaces the rules by those of the networks that are on the host and the endpoints that live, all but those that are
/// `leaving`. Nothing
/// is done where these are the ones that are there, or where there are none to be made.
pub(super) fn apply_rules(store: &NetworkStore, leaving: &[Endpoint]) -> Result<(), NetworkError> {
    if is_rootless() {
        return Ok(());
    }
    let directory = Endpoint::directory(&store.directories);
    let _lock = lock_file(&directory.join(".rules-lock"))?;
    // All of them as they are at one time: a port that moves is not seen at two.
    let mut endpoints = store.lock().and_then(|_lock| store.living_endpoints())?;
    endpoints.retain(|endpoint| leaving.iter().all(|leaving| leaving.tap != endpoint.tap));
    let mut networks = store.read_all()?;
    networks.retain(|network| netdevice::exists(&network.bridge));
    let script = ruleset::script(&store.table(), &networks, &endpoints);
    // The kernel forgets its rules when it starts.
    let boot = boot_id().unwrap_or_default();
    let applied = format!("# {boot}\n{script}");
    let note = directory.join(".rules");
    let before = fs::read_to_string(&note).unwrap_or_default();
    // Who never had a network needs no nft to have none.
    let never_had_any =
        networks.is_empty() && endpoints.is_empty() && !before.starts_with(&format!("# {boot}"));
    if before == applied || never_had_any {
        return Ok(());
    }
    holm_faults::fault!("network.rules.apply").map_err(NetworkError::NftMissing)?;
    nft::apply(&script)?;
    holm_faults::crash!("network.rules.applied");
    // Without the note the next one applies the same again.
    let _ = fs::write(&note, applied);
    Ok(())
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::container::settings::Protocol;
    use crate::container::{ContainerName, ContainerStore, Record};
    use crate::host::Directories;

    /// A container on two networks that publishes a port, which leads to it by the first.
    fn attachment(dir: &std::path::Path) -> Attachment {
        let directories = Directories::at(dir.join("root"), dir.join("run"));
        directories.create().unwrap();
        let record = Record {
            created: OffsetDateTime::UNIX_EPOCH,
            nonce: "nonce".into(),
            image_id: "sha256:0123456789abcdef".into(),
            image: "busybox".into(),
            name: ContainerName::generated(0),
            settings: Default::default(),
        };
        let container = ContainerStore::new(directories.clone()).create(record, None).unwrap();
        let published = vec![PublishedPort {
            protocol: Protocol::Tcp,
            host_ip: Ipv4Addr::LOCALHOST.into(),
            host_port: 8080,
            container_port: 80,
        }];
        let store = NetworkStore::new(directories);
        let _lock = store.lock().unwrap();
        let join = |number: usize| {
            let address = Ipv4Addr::new(10, u8::try_from(number).unwrap(), 0, 2);
            let network = Network {
                id: number.to_string().repeat(64),
                name: format!("network{number}").parse().unwrap(),
                created: OffsetDateTime::UNIX_EPOCH,
                subnet: format!("10.{number}.0.0/16").parse().unwrap(),
                chosen_gateway: None,
                ipv6: None,
                bridge: format!("none{number}"),
                internal: false,
                mtu: None,
                labels: Default::default(),
            };
            let endpoint = Endpoint {
                container_id: container.id.clone(),
                network_id: network.id.clone(),
                address,
                address6: None,
                mac: MacAddress::of_ip(address),
                tap: Endpoint::tap_of(address),
                aliases: vec![],
                ports: if number == 1 { published.clone() } else { vec![] },
            };
            endpoint.write(&store.directories).unwrap();
            Joined { network, endpoint, number, slot: 0 }
        };
        Attachment {
            joined: vec![join(1), join(2)],
            container: container.clone(),
            store: store.clone(),
            published,
            ports: vec![],
            proxy: None,
            is_rootless: false,
            passt: None,
            queues: 1,
            has_stale_rules: false,
        }
    }

    /// How many ports each network's endpoint has, for whoever makes rules now.
    fn ports(attachment: &Attachment) -> Vec<usize> {
        let endpoints = Endpoint::of(&attachment.store.directories, &attachment.container.id).unwrap();
        endpoints.iter().map(|endpoint| endpoint.ports.len()).collect()
    }

    #[test]
    fn a_port_that_moves_to_another_network_is_never_at_two() {
        let dir = tempfile::tempdir().unwrap();
        let mut attachment = attachment(dir.path());
        assert_eq!(ports(&attachment), [1, 0]);
        let left = attachment.part(0).unwrap();
        // The files are there until the rules are.
        assert_eq!(ports(&attachment), [0, 1]);
        assert!(left.ports.is_empty() && attachment.has_stale_rules);
    }

    #[test]
    fn a_port_that_is_free_for_others_is_no_endpoints() {
        let dir = tempfile::tempdir().unwrap();
        let mut attachment = attachment(dir.path());
        attachment.close_ports().unwrap();
        assert_eq!(ports(&attachment), [0, 0]);
        assert!(attachment.has_stale_rules);
    }
}
