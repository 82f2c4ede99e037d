//! One network of a container: `--network NAME`, `--network name=NAME,alias=...`, `holm network connect`.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::extra_host::parse_resolver_word;
use super::network_mode::{NetworkMode, NetworkModeError};
use crate::network::MacAddress;

/// A network that a container is to be on, and as whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkConnection {
    /// The network's name or id.
    pub network: String,
    /// Its address there; chosen when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<Ipv4Addr>,
    /// Its IPv6 address there; chosen when absent, if the network has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip6: Option<Ipv6Addr>,
    /// Its interface's address; made from the IP address when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac_address: Option<MacAddress>,
    /// Further names there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
}

/// What stands behind one `--network`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkFlag {
    /// Which kind.
    pub mode: NetworkMode,
    /// What else was said.
    pub connection: NetworkConnection,
}

/// Not a value of `--network`.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NetworkFlagError {
    /// The network itself.
    #[error(transparent)]
    Mode(#[from] NetworkModeError),
    /// A field that is none of Docker's, or has no such value.
    #[error("invalid field {0:?} in --network: want name=, alias=, ip=, ip6= or mac-address=")]
    Field(String),
}

impl NetworkConnection {
    /// To this network, with nothing special.
    #[must_use]
    pub fn to(network: &str) -> Self {
        Self { network: network.to_owned(), ip: None, ip6: None, mac_address: None, aliases: Vec::new() }
    }
}

impl FromStr for NetworkFlag {
    type Err = NetworkFlagError;

    fn from_str(text: &str) -> Result<Self, NetworkFlagError> {
        let mut connection = NetworkConnection::to(text);
        if text.contains('=') {
            connection.network.clear();
            for field in text.split(',') {
                let refused = || NetworkFlagError::Field(field.to_owned());
                let (key, value) = field.split_once('=').ok_or_else(refused)?;
                match key.trim() {
                    "name" => value.clone_into(&mut connection.network),
                    "alias" => connection.aliases.push(parse_resolver_word(value).map_err(|_| refused())?),
                    "ip" => connection.ip = Some(value.parse().map_err(|_| refused())?),
                    "ip6" => connection.ip6 = Some(value.parse().map_err(|_| refused())?),
                    "mac-address" => connection.mac_address = Some(value.parse().map_err(|_| refused())?),
                    _ => return Err(refused()),
                }
            }
        }
        let mode: NetworkMode = connection.network.parse()?;
        if let Some(name) = mode.network() {
            name.clone_into(&mut connection.network);
        }
        Ok(Self { mode, connection })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_dockers() {
        let flag: NetworkFlag = "web".parse().unwrap();
        assert_eq!(flag.connection, NetworkConnection::to("web"));
        assert_eq!("default".parse::<NetworkFlag>().unwrap().connection.network, "bridge");
        let flag: NetworkFlag =
            "name=web,alias=a,alias=b,ip=10.1.2.3,ip6=fd00::3,mac-address=02:00:00:00:00:01".parse().unwrap();
        assert_eq!((flag.connection.network.as_str(), flag.connection.aliases.len()), ("web", 2));
        assert_eq!(flag.connection.ip, Some(Ipv4Addr::new(10, 1, 2, 3)));
        assert_eq!(flag.connection.ip6, "fd00::3".parse().ok());
        for text in ["", "name=", "alias=a", "name=web,ip=x", "name=web,color=red", "name=web,,", "name=host"]
        {
            assert!(text.parse::<NetworkFlag>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_connection_survives_json() {
        let connection = NetworkConnection { aliases: vec!["a".into()], ..NetworkConnection::to("web") };
        let json = serde_json::to_string(&connection).unwrap();
        assert_eq!(json, r#"{"Network":"web","Aliases":["a"]}"#);
        assert_eq!(serde_json::from_str::<NetworkConnection>(&json).unwrap(), connection);
    }
}
