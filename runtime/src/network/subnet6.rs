//! `fd12:3456:789a:1::/64`: the IPv6 addresses of a network.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An IPv6 subnet with room for a gateway and containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet6 {
    base: u128,
    prefix_length: u8,
}

/// Not a subnet that containers can live in.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "invalid subnet {0:?}: want ADDRESS/LENGTH with an IPv6 address of a single station whose host part is zero, /8 to /124"
)]
pub struct Subnet6Error(String);

impl Subnet6 {
    /// The subnet that `address` lies in.
    #[must_use]
    pub const fn around(address: Ipv6Addr, prefix_length: u8) -> Self {
        Self { base: address.to_bits() & mask(prefix_length), prefix_length }
    }

    /// How many bits are the network's.
    #[must_use]
    pub const fn prefix_length(self) -> u8 {
        self.prefix_length
    }

    /// Its `number`th address; `None` beyond its end.
    #[must_use]
    pub fn nth(self, number: u128) -> Option<Ipv6Addr> {
        (number <= !mask(self.prefix_length)).then(|| Ipv6Addr::from_bits(self.base | number))
    }

    /// The address that the host has when no other was asked for: the first behind the one that is any router's (RFC 4291,
    /// section 2.6.1).
    #[must_use]
    pub const fn gateway(self) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.base | 1)
    }

    /// Whether the address is one of a station in it.
    #[must_use]
    pub fn has_station(self, address: Ipv6Addr) -> bool {
        Self::around(address, self.prefix_length) == self && address.to_bits() != self.base
    }

    /// Whether any address lies in both.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        let mask = mask(self.prefix_length.min(other.prefix_length));
        self.base & mask == other.base & mask
    }
}

const fn mask(prefix_length: u8) -> u128 {
    if prefix_length == 0 { 0 } else { u128::MAX << (128 - prefix_length as u32) }
}

impl fmt::Display for Subnet6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv6Addr::from_bits(self.base), self.prefix_length)
    }
}

impl FromStr for Subnet6 {
    type Err = Subnet6Error;

    fn from_str(text: &str) -> Result<Self, Subnet6Error> {
        let refused = || Subnet6Error(text.to_owned());
        let (address, length) = text.split_once('/').ok_or_else(refused)?;
        let address: Ipv6Addr = address.parse().map_err(|_| refused())?;
        let prefix_length: u8 = length.parse().map_err(|_| refused())?;
        let subnet = Self { base: address.to_bits(), prefix_length };
        let is_ordinary = !address.is_multicast()
            && !address.is_unicast_link_local()
            && address.to_ipv4_mapped().is_none()
            && address.to_bits() != 0;
        if !(8..=124).contains(&prefix_length)
            || !is_ordinary
            || subnet != Self::around(address, prefix_length)
        {
            return Err(refused());
        }
        Ok(subnet)
    }
}

impl TryFrom<String> for Subnet6 {
    type Error = Subnet6Error;

    fn try_from(text: String) -> Result<Self, Subnet6Error> {
        text.parse()
    }
}

impl From<Subnet6> for String {
    fn from(subnet: Subnet6) -> Self {
        subnet.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet6 {
        text.parse().unwrap()
    }

    #[test]
    fn only_subnets_with_room_are_taken() {
        let subnet = subnet("fd00:1:2:3::/64");
        assert_eq!(
            (subnet.gateway().to_string().as_str(), subnet.to_string().as_str()),
            ("fd00:1:2:3::1", "fd00:1:2:3::/64")
        );
        let refused = [
            "",
            "fd00::",
            "fd00::1/64",
            "fd00::/125",
            "::/8",
            "fe80::/64",
            "ff00::/16",
            "10.0.0.0/8",
            "fd00::/x",
        ];
        for text in refused {
            assert!(text.parse::<Subnet6>().is_err(), "{text}");
        }
    }

    #[test]
    fn stations_lie_inside_and_are_not_the_routers_anycast_address() {
        let subnet = subnet("fd00::/120");
        for (address, is_station) in
            [("fd00::", false), ("fd00::1", true), ("fd00::ff", true), ("fd00::100", false)]
        {
            assert_eq!(subnet.has_station(address.parse().unwrap()), is_station, "{address}");
        }
        assert_eq!((subnet.nth(255), subnet.nth(256)), (Some("fd00::ff".parse().unwrap()), None));
    }

    #[test]
    fn overlaps_are_seen_both_ways() {
        for (one, other, overlap) in [
            ("fd00::/16", "fd00:1::/64", true),
            ("fd00:1::/64", "fd00:2::/64", false),
            ("fd00:1::/64", "fd00:1::/64", true),
        ] {
            assert_eq!(subnet(one).overlaps(subnet(other)), overlap);
            assert_eq!(subnet(other).overlaps(subnet(one)), overlap);
        }
    }
}
