//! The networks of a root: made, found, removed.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::address_pool::{choose_subnet, choose_subnet6};
use super::attachment::apply_rules;
use super::endpoint::Endpoint;
use super::error::NetworkError;
use super::mtu::Mtu;
use super::name::NetworkName;
use super::record::{Network, NetworkIpv6};
use super::subnet::Subnet;
use super::subnet6::Subnet6;
use super::{DEFAULT_NETWORK, netdevice, routes};
use crate::container::settings::Labels;
use crate::durable;
use crate::file_error::{damaged, failed};
use crate::host::{Directories, create_private_directory, is_rootless};

/// One at a time chooses a subnet and makes its bridge, also of several roots.
const HOST_LOCK: &str = "/run/holm-network.lock";
/// The root whose tables and default bridge have the plain names.
const DEFAULT_ROOT: &str = "/var/lib/holm";
/// Names that mean something else.
const RESERVED: [&str; 4] = [DEFAULT_NETWORK, "none", "host", "default"];

/// All networks of one root.
#[derive(Clone, Debug)]
pub struct NetworkStore {
    pub(super) directories: Directories,
}

/// What `network create` takes.
#[derive(Clone, Debug)]
pub struct NewNetwork {
    /// Its name.
    pub name: NetworkName,
    /// Its addresses; chosen when absent.
    pub subnet: Option<Subnet>,
    /// The host's address; the first when absent.
    pub gateway: Option<Ipv4Addr>,
    /// Its IPv6 addresses, if it is to have some.
    pub ipv6: Option<NewIpv6>,
    /// Without a way to the outside.
    pub internal: bool,
    /// What its interfaces carry, if it is chosen.
    pub mtu: Option<Mtu>,
    /// What users note about it.
    pub labels: Labels,
}

/// What `network create --ipv6` takes.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewIpv6 {
    /// Its addresses; a unique local /64 when absent.
    pub subnet: Option<Subnet6>,
    /// The host's address; the first when absent.
    pub gateway: Option<Ipv6Addr>,
}

impl NetworkStore {
    /// Works on `directories`, which must have been created.
    #[must_use]
    pub fn new(directories: Directories) -> Self {
        Self { directories }
    }

    /// The right to change networks and endpoints, while it lives.
    pub(super) fn lock(&self) -> Result<File, NetworkError> {
        create_private_directory(&self.directories.networks())?;
        create_private_directory(&Endpoint::directory(&self.directories))?;
        lock_file(&Endpoint::directory(&self.directories).join(".lock"))
    }

    /// Every network, the default one first, then by name.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn list(&self) -> Result<Vec<Network>, NetworkError> {
        let _lock = self.lock()?;
        self.default_network()?;
        self.read_all()
    }

    /// Finds by name, id or unambiguous beginning of an id.
    ///
    /// # Errors
    /// There is none, or several.
    pub fn find(&self, name_or_id: &str) -> Result<Network, NetworkError> {
        let _lock = self.lock()?;
        self.find_locked(name_or_id)
    }

    pub(super) fn find_locked(&self, name_or_id: &str) -> Result<Network, NetworkError> {
        if name_or_id == DEFAULT_NETWORK {
            return self.default_network();
        }
        let networks = self.read_all()?;
        if let Some(found) = networks.iter().find(|network| network.name.as_str() == name_or_id) {
            return Ok(found.clone());
        }
        let mut matching = networks.into_iter().filter(|network| network.id.starts_with(name_or_id));
        match (matching.next(), matching.next()) {
            (Some(found), None) if !name_or_id.is_empty() => Ok(found),
            (Some(_), Some(_)) => Err(NetworkError::Ambiguous(name_or_id.to_owned())),
            _ => Err(NetworkError::NotFound(name_or_id.to_owned())),
        }
    }

    /// Makes a network. Nothing of it is on the host until a container is on it.
    ///
    /// # Errors
    /// The name or the subnet is taken, or a file cannot be written.
    pub fn create(&self, new: NewNetwork) -> Result<Network, NetworkError> {
        if is_rootless() {
            return Err(NetworkError::Rootless("a network that containers share"));
        }
        let _lock = self.lock()?;
        let networks = self.read_all()?;
        let name = new.name.as_str();
        if RESERVED.contains(&name) || networks.iter().any(|network| network.name == new.name) {
            return Err(NetworkError::NameTaken(name.to_owned()));
        }
        let _host = lock_file(Path::new(HOST_LOCK))?;
        let taken = self.taken_subnets(&networks, None);
        let subnet = match new.subnet {
            Some(subnet) if taken.iter().any(|other| other.overlaps(subnet)) => {
                return Err(NetworkError::SubnetTaken(subnet.to_string()));
            }
            Some(subnet) => subnet,
            None => choose_subnet(&taken)?,
        };
        let outside = |gateway, subnet| NetworkError::GatewayOutside { gateway, subnet };
        if let Some(gateway) = new.gateway.filter(|gateway| !subnet.has_station(*gateway)) {
            return Err(outside(gateway.into(), subnet.to_string()));
        }
        let mut network = self.record(new.name, subnet, new.internal, new.labels);
        network.chosen_gateway = new.gateway;
        network.mtu = new.mtu;
        if new.ipv6.is_some() && new.mtu.is_some_and(|mtu| mtu < Mtu::LEAST_OF_IPV6) {
            return Err(NetworkError::MtuBelowIpv6(Mtu::LEAST_OF_IPV6.bytes()));
        }
        if let Some(new) = new.ipv6 {
            let subnet = self.choose_ipv6(new.subnet, &network, &networks)?;
            let gateway = new.gateway.unwrap_or(subnet.gateway());
            if !subnet.has_station(gateway) {
                return Err(outside(gateway.into(), subnet.to_string()));
            }
            network.ipv6 = Some(NetworkIpv6 { subnet, gateway });
        }
        self.write(&network)?;
        Ok(network)
    }

    /// Removes a network that nobody is on.
    ///
    /// # Errors
    /// It is in use or the default one, or a file cannot be removed.
    pub fn remove(&self, network: &Network) -> Result<(), NetworkError> {
        let lock = self.lock()?;
        if network.is_default() {
            return Err(NetworkError::Predefined(network.name.to_string()));
        }
        let users: Vec<String> =
            self.endpoints_of(network)?.iter().map(|e| e.container_id.short().to_owned()).collect();
        if !users.is_empty() {
            return Err(NetworkError::InUse { name: network.name.to_string(), users });
        }
        let was_there = netdevice::exists(&network.bridge);
        netdevice::remove_bridge(&network.bridge)?;
        holm_faults::crash!("network.remove.bridge-gone");
        let path = self.path(&network.id);
        holm_faults::fault!("network.record.remove")
            .and_then(|()| durable::remove(&path))
            .map_err(failed("write", &path))?;
        drop(lock);
        if was_there { apply_rules(self, &[]) } else { Ok(()) }
    }

    /// Who is on a network now.
    ///
    /// # Errors
    /// An endpoint cannot be read.
    pub fn endpoints_of(&self, network: &Network) -> Result<Vec<Endpoint>, NetworkError> {
        let mut endpoints = self.living_endpoints()?;
        endpoints.retain(|endpoint| endpoint.network_id == network.id);
        Ok(endpoints)
    }

    pub(super) fn living_endpoints(&self) -> Result<Vec<Endpoint>, NetworkError> {
        let mut endpoints = Endpoint::all(&self.directories)?;
        endpoints.retain(|endpoint| endpoint.is_alive(&self.directories));
        Ok(endpoints)
    }

    /// Those that live, when the others have been forgotten. For whoever has the lock.
    pub(super) fn keep_living(&self) -> Result<Vec<Endpoint>, NetworkError> {
        let mut living = Vec::new();
        for endpoint in Endpoint::all(&self.directories)? {
            if endpoint.is_alive(&self.directories) {
                living.push(endpoint);
            } else {
                endpoint.remove(&self.directories)?;
            }
        }
        Ok(living)
    }

    /// Makes the bridge of a network, which gets another subnet before if it is the default one and the host has come to use
    /// its old one.
    pub(super) fn ensure_bridge(&self, network: Network) -> Result<Network, NetworkError> {
        if netdevice::exists(&network.bridge) {
            return Ok(network);
        }
        let _host = lock_file(Path::new(HOST_LOCK))?;
        let mut network = network;
        if routes::subnets().iter().any(|route| route.overlaps(network.subnet)) {
            if !network.is_default() {
                return Err(NetworkError::SubnetTaken(network.subnet.to_string()));
            }
            network.subnet = choose_subnet(&self.taken_subnets(&self.read_all()?, Some(&network)))?;
            self.write(&network)?;
        }
        if let Some(NetworkIpv6 { subnet, .. }) = network.ipv6
            && routes::subnets6().iter().any(|route| route.overlaps(subnet))
        {
            return Err(NetworkError::SubnetTaken(subnet.to_string()));
        }
        netdevice::ensure_bridge(&network)?;
        holm_faults::crash!("network.bridge.made");
        Ok(network)
    }

    /// Takes the bridges of networks that nobody is on, and the rules for them, off the host. The next container on such a
    /// network brings them back.
    ///
    /// # Errors
    /// A bridge cannot be removed, or nft refuses.
    pub fn remove_idle_bridges(&self) -> Result<(), NetworkError> {
        {
            let _lock = self.lock()?;
            let living = self.living_endpoints()?;
            for network in self.read_all()? {
                if !living.iter().any(|endpoint| endpoint.network_id == network.id) {
                    netdevice::remove_bridge(&network.bridge)?;
                }
            }
        }
        apply_rules(self, &[])
    }

    /// The name of this root's tables.
    pub(super) fn table(&self) -> String {
        let root = self.directories.root();
        if root == Path::new(DEFAULT_ROOT) { "holm".to_owned() } else { format!("holm_{}", self.tag()) }
    }

    /// Tells this root from others on the host.
    fn tag(&self) -> String {
        let digest = Sha256::digest(self.directories.root().as_os_str().as_encoded_bytes());
        hex::encode(digest).chars().take(8).collect()
    }

    fn taken_subnets(&self, networks: &[Network], but: Option<&Network>) -> Vec<Subnet> {
        let others = networks.iter().filter(|network| but.is_none_or(|but| but.id != network.id));
        others.map(|network| network.subnet).chain(routes::subnets()).collect()
    }

    /// The IPv6 addresses of a network that is to be.
    fn choose_ipv6(
        &self,
        wanted: Option<Subnet6>,
        network: &Network,
        others: &[Network],
    ) -> Result<Subnet6, NetworkError> {
        let of_others = others.iter().filter_map(|other| Some(other.ipv6?.subnet));
        let taken: Vec<Subnet6> = of_others.chain(routes::subnets6()).collect();
        match wanted {
            Some(subnet) if taken.iter().any(|other| other.overlaps(subnet)) => {
                Err(NetworkError::SubnetTaken(subnet.to_string()))
            }
            Some(subnet) => Ok(subnet),
            None => {
                // Hosts differ by their ids, roots of a host by their paths, networks of a root by their own.
                let mut root = Sha256::new();
                root.update(fs::read("/etc/machine-id").unwrap_or_default());
                root.update(self.directories.root().as_os_str().as_encoded_bytes());
                let [a, b, c, d, e, ..]: [u8; 32] = root.finalize().into();
                let [f, g, ..]: [u8; 32] = Sha256::digest(&network.id).into();
                choose_subnet6([a, b, c, d, e], [f, g], &taken)
            }
        }
    }

    fn default_network(&self) -> Result<Network, NetworkError> {
        let networks = self.read_all()?;
        if let Some(found) = networks.iter().find(|network| network.is_default()) {
            return Ok(found.clone());
        }
        let name = DEFAULT_NETWORK.parse().map_err(|_| NetworkError::NotFound(DEFAULT_NETWORK.to_owned()))?;
        let subnet = choose_subnet(&self.taken_subnets(&networks, None))?;
        let network = self.record(name, subnet, false, Labels::new());
        self.write(&network)?;
        Ok(network)
    }

    fn record(&self, name: NetworkName, subnet: Subnet, internal: bool, labels: Labels) -> Network {
        let created = OffsetDateTime::now_utc();
        let mut hash = Sha256::new();
        hash.update(self.directories.root().as_os_str().as_encoded_bytes());
        hash.update(name.as_str());
        hash.update(created.unix_timestamp_nanos().to_le_bytes());
        let id = hex::encode(hash.finalize());
        let is_plain = name.as_str() == DEFAULT_NETWORK && self.directories.root() == Path::new(DEFAULT_ROOT);
        let bridge =
            if is_plain { "holm0".to_owned() } else { format!("holm-{}", id.get(..10).unwrap_or_default()) };
        let (chosen_gateway, ipv6, mtu) = (None, None, None);
        Network { id, name, created, subnet, chosen_gateway, ipv6, bridge, internal, mtu, labels }
    }

    pub(super) fn read_all(&self) -> Result<Vec<Network>, NetworkError> {
        let directory = self.directories.networks();
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(failed("read", &directory)(source).into()),
        };
        let mut networks = Vec::new();
        for entry in entries.flatten() {
            let path = entry.path();
            if entry.file_name().as_encoded_bytes().starts_with(b".")
                || path.extension().is_none_or(|e| e != "json")
            {
                continue;
            }
            let bytes = fs::read(&path).map_err(failed("read", &path))?;
            networks.push(serde_json::from_slice(&bytes).map_err(damaged(&path))?);
        }
        networks.sort_by_key(|network: &Network| (!network.is_default(), network.name.clone()));
        Ok(networks)
    }

    fn path(&self, id: &str) -> PathBuf {
        self.directories.networks().join(format!("{id}.json"))
    }

    fn write(&self, network: &Network) -> Result<(), NetworkError> {
        let path = self.path(&network.id);
        let failed = failed("write", &path);
        let json = serde_json::to_vec(network).map_err(|error| failed(error.into()))?;
        Ok(holm_faults::fault!("network.record.write")
            .and_then(|()| durable::write(&path, &json))
            .map_err(failed)?)
    }
}

/// Waits for a lock that lives as long as the file is open.
pub(super) fn lock_file(path: &Path) -> Result<File, NetworkError> {
    let failed = failed("open", path);
    let file = holm_faults::fault!("network.lock")
        .and_then(|()| File::options().create(true).append(true).open(path))
        .map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(dir: &Path) -> NetworkStore {
        let directories = Directories::at(dir.join("root"), dir.join("run"));
        directories.create().unwrap();
        NetworkStore::new(directories)
    }

    #[test]
    fn the_default_network_is_always_there() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let found = store.find(DEFAULT_NETWORK).unwrap();
        assert_eq!(store.list().unwrap(), std::slice::from_ref(&found));
        assert!(found.bridge.len() <= 15, "an interface's name has at most 15 bytes");
        assert!(matches!(store.remove(&found), Err(NetworkError::Predefined(_))));
        assert!(matches!(store.find("web"), Err(NetworkError::NotFound(_))));
    }
}
