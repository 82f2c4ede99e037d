//! A network as it is stored.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::DEFAULT_NETWORK;
use super::name::NetworkName;
use super::subnet::Subnet;
use crate::container::settings::Labels;

/// A network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Network {
    /// 64 hex digits.
    pub id: String,
    /// What it is called.
    pub name: NetworkName,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    /// Its addresses; the first is the gateway's.
    pub subnet: Subnet,
    /// The host's interface, there while anybody is on the network.
    pub bridge: String,
    /// Without a way to the outside.
    pub internal: bool,
    /// What users note about it.
    pub labels: Labels,
}

impl Network {
    /// The first twelve digits of its id.
    #[must_use]
    pub fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }

    /// Whether it is the one that every root has.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.name.as_str() == DEFAULT_NETWORK
    }

    /// Whether this name, id or beginning of an id means it.
    #[must_use]
    pub fn is_meant_by(&self, name_or_id: &str) -> bool {
        self.name.as_str() == name_or_id || !name_or_id.is_empty() && self.id.starts_with(name_or_id)
    }
}
