//! `--network none|bridge|NAME`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::network::{DEFAULT_NETWORK, NetworkName};

/// Which network a container is on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum NetworkMode {
    /// The one that every root has.
    #[default]
    Default,
    /// A loopback interface and nothing else.
    None,
    /// One that a user made.
    Named(NetworkName),
}

/// Why a network is refused.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NetworkModeError {
    /// The host's own.
    #[error(
        "network mode host is not supported: a container has a kernel of its own, which has none of the host's interfaces; \
         publish what it serves with -p, or all that it exposes with -P"
    )]
    Host,
    /// Another container's.
    #[error(
        "network mode {0:?} is not supported: that container has a kernel of its own, whose network nobody else can join; put \
         both containers on one network of 'holm network create', where they find each other by name"
    )]
    Container(String),
    /// Not a name.
    #[error("invalid network {0:?}: want none, bridge or the name of a network")]
    Malformed(String),
}

impl NetworkMode {
    /// The network's name or id; `None` without one.
    #[must_use]
    pub fn network(&self) -> Option<&str> {
        match self {
            Self::Default => Some(DEFAULT_NETWORK),
            Self::None => None,
            Self::Named(name) => Some(name.as_str()),
        }
    }
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.network().unwrap_or("none"))
    }
}

impl FromStr for NetworkMode {
    type Err = NetworkModeError;

    fn from_str(text: &str) -> Result<Self, NetworkModeError> {
        match text {
            "none" => Ok(Self::None),
            "default" | DEFAULT_NETWORK => Ok(Self::Default),
            "host" => Err(NetworkModeError::Host),
            _ if text.starts_with("container:") => Err(NetworkModeError::Container(text.to_owned())),
            name => name.parse().map(Self::Named).map_err(|_| NetworkModeError::Malformed(text.to_owned())),
        }
    }
}

impl TryFrom<String> for NetworkMode {
    type Error = NetworkModeError;

    fn try_from(text: String) -> Result<Self, NetworkModeError> {
        text.parse()
    }
}

impl From<NetworkMode> for String {
    fn from(mode: NetworkMode) -> Self {
        mode.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_dockers() {
        assert_eq!("bridge".parse(), Ok(NetworkMode::Default));
        assert_eq!("none".parse(), Ok(NetworkMode::None));
        assert_eq!("web".parse::<NetworkMode>().unwrap().network(), Some("web"));
        assert_eq!("host".parse::<NetworkMode>(), Err(NetworkModeError::Host));
        assert!(matches!("container:web".parse::<NetworkMode>(), Err(NetworkModeError::Container(_))));
        assert!(matches!("../x".parse::<NetworkMode>(), Err(NetworkModeError::Malformed(_))));
    }
}
