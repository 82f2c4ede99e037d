//! A network as it is stored.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::DEFAULT_NETWORK;
use super::mtu::Mtu;
use super::name::NetworkName;
use super::subnet::Subnet;
use super::subnet6::Subnet6;
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
    /// Its addresses.
    pub subnet: Subnet,
    /// The host's, if it is not the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen_gateway: Option<Ipv4Addr>,
    /// Its addresses of IPv6, if it has some.
    #[serde(default, rename = "IPv6", skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<NetworkIpv6>,
    /// The host's interface, there while anybody is on the network.
    pub bridge: String,
    /// Without a way to the outside.
    pub internal: bool,
    /// What its interfaces carry, if it was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<Mtu>,
    /// What users note about it.
    pub labels: Labels,
}

/// What a network has of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkIpv6 {
    /// Its addresses.
    pub subnet: Subnet6,
    /// The host's.
    pub gateway: Ipv6Addr,
}

impl Network {
    /// The host's address.
    #[must_use]
    pub fn gateway(&self) -> Ipv4Addr {
        self.chosen_gateway.unwrap_or(self.subnet.gateway())
    }

    /// The IPv6 address that goes with an address unless somebody chose otherwise: with the same number in its subnet. `None` where that
    /// has no such address or the host has it.
    pub(super) fn ipv6_beside(&self, address: Ipv4Addr) -> Option<Ipv6Addr> {
        let ipv6 = self.ipv6?;
        let number = address.to_bits().wrapping_sub(self.subnet.nth(0)?.to_bits());
        ipv6.subnet.nth(number.into()).filter(|found| ipv6.is_containers(*found))
    }
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

impl NetworkIpv6 {
    /// Whether a container can have the address.
    pub(super) fn is_containers(&self, address: Ipv6Addr) -> bool {
        self.subnet.has_station(address) && address != self.gateway
    }
}
