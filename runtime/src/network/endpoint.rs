//! A container on a network: written down before anything of it is made, removed after everything is gone.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::NetworkError;
use super::mac_address::MacAddress;
use crate::container::ContainerId;
use crate::container::settings::Protocol;
use crate::file_error::{damaged, failed};
use crate::host::Directories;

/// What a container has of one network while it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Endpoint {
    /// Whose it is.
    pub container_id: ContainerId,
    /// The network's id.
    pub network_id: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its address of IPv6, on a network that has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address6: Option<Ipv6Addr>,
    /// Its interface's address.
    pub mac: MacAddress,
    /// Its interface on the host.
    pub tap: String,
    /// Its further names on the network.
    pub aliases: Vec<String>,
    /// What is published of it.
    pub ports: Vec<PublishedPort>,
}

/// A port of the host that leads to one of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PublishedPort {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The host's address; 0.0.0.0 or :: for all of its family.
    pub host_ip: IpAddr,
    /// The host's port.
    pub host_port: u16,
    /// The container's port.
    pub container_port: u16,
}

impl Endpoint {
    pub(super) fn directory(directories: &Directories) -> PathBuf {
        directories.run().join("networks")
    }

    /// Its addresses, that of IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        [Some(self.address.into()), self.address6.map(IpAddr::V6)].into_iter().flatten()
    }

    /// 64 hex digits: of this container and this network.
    #[must_use]
    pub fn id(&self) -> String {
        hex::encode(Sha256::digest(format!("{}-{}", self.container_id, self.network_id)))
    }

    /// `<container>-<network>.json`, with the first digits of the network's id.
    pub(super) fn path(&self, directories: &Directories) -> PathBuf {
        let network = self.network_id.get(..12).unwrap_or(&self.network_id);
        Self::directory(directories).join(format!("{}-{network}.json", self.container_id))
    }

    /// The endpoints of a container that runs; none for one without a network.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn of(directories: &Directories, id: &ContainerId) -> Result<Vec<Self>, NetworkError> {
        Self::read(directories, id.as_str())
    }

    /// All that are written down, in the order of their containers' ids.
    pub(super) fn all(directories: &Directories) -> Result<Vec<Self>, NetworkError> {
        Self::read(directories, "")
    }

    /// Those whose files' names begin so.
    fn read(directories: &Directories, prefix: &str) -> Result<Vec<Self>, NetworkError> {
        let directory = Self::directory(directories);
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(failed("read", &directory)(source).into()),
        };
        let is_endpoint = |name: &String| name.starts_with(prefix) && name.ends_with(".json");
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(is_endpoint).collect();
        names.sort();
        let mut endpoints = Vec::new();
        for path in names.iter().map(|name| directory.join(name)) {
            match fs::read(&path) {
                Ok(bytes) => endpoints.push(serde_json::from_slice(&bytes).map_err(damaged(&path))?),
                // It has ended meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(failed("read", &path)(source).into()),
            }
        }
        Ok(endpoints)
    }

    /// The interface on the host of whoever has this address: no two roots of a host have it at once. At most 15 bytes.
    pub(super) fn tap_of(address: Ipv4Addr) -> String {
        format!("holm{:08x}", address.to_bits())
    }

    /// Bytes that its interface has carried to the container and from it; `None` without an interface on the host.
    #[must_use]
    pub fn carried_bytes(&self) -> Option<(u64, u64)> {
        let statistics = PathBuf::from(format!("/sys/class/net/{}/statistics", self.tap));
        let count = |name| fs::read_to_string(statistics.join(name)).ok()?.trim_end().parse().ok();
        // What the host sends is what the container receives.
        if self.tap.is_empty() { None } else { Some((count("tx_bytes")?, count("rx_bytes")?)) }
    }

    /// Whether anybody can be using it: its container's lock is held.
    pub(super) fn is_alive(&self, directories: &Directories) -> bool {
        let lock = directories.containers().join(self.container_id.as_str()).join("lock");
        fs::File::open(lock).is_ok_and(|lock| lock.try_lock().is_err())
    }

    /// Writes it down. It need not survive a power cut: nothing that it describes does.
    pub(super) fn write(&self, directories: &Directories) -> Result<(), NetworkError> {
        let path = self.path(directories);
        let failed = failed("write", &path);
        let json = serde_json::to_vec(self).map_err(|error| failed(error.into()))?;
        let new = path.with_extension("new");
        let written = holm_faults::fault!("network.endpoint.write").and_then(|()| fs::write(&new, json));
        let written = written.and_then(|()| holm_faults::fault!("network.endpoint.rename"));
        Ok(written.and_then(|()| fs::rename(&new, &path)).map_err(failed)?)
    }

    /// Forgets it; fine when that was done.
    pub(super) fn remove(&self, directories: &Directories) -> Result<(), NetworkError> {
        let path = self.path(directories);
        Ok(holm_faults::fault!("network.endpoint.remove")
            .and_then(|()| crate::durable::remove(&path))
            .map_err(failed("remove", &path))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_has_one_for_each_network() {
        let dir = tempfile::tempdir().unwrap();
        let directories = Directories::at(dir.path().join("root"), dir.path().join("run"));
        fs::create_dir_all(Endpoint::directory(&directories)).unwrap();
        let endpoint = |container: &str, network: &str| Endpoint {
            container_id: container.repeat(64).parse().unwrap(),
            network_id: network.repeat(64),
            address: Ipv4Addr::new(10, 88, 0, 2),
            address6: None,
            mac: MacAddress::of_ip(Ipv4Addr::new(10, 88, 0, 2)),
            tap: "tap".into(),
            aliases: vec![],
            ports: vec![],
        };
        let all = [endpoint("1", "a"), endpoint("1", "b"), endpoint("2", "a")];
        all.iter().for_each(|endpoint| endpoint.write(&directories).unwrap());
        assert_eq!(Endpoint::all(&directories).unwrap(), all);
        assert_eq!(Endpoint::of(&directories, &all[0].container_id).unwrap(), all[..2]);
        all[0].remove(&directories).unwrap();
        assert_eq!(Endpoint::of(&directories, &all[0].container_id).unwrap(), all[1..2]);
    }
}
