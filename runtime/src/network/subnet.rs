//! `10.88.0.0/16`: the addresses of a network.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An IPv4 subnet with room for a gateway and containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    base: u32,
    prefix_length: u8,
}

/// Not a subnet that containers can live in.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid subnet {0:?}: want ADDRESS/LENGTH with an IPv4 address whose host part is zero, /8 to /29")]
pub struct SubnetError(String);

impl Subnet {
    /// The subnet that `address` lies in.
    #[must_use]
    pub const fn around(address: Ipv4Addr, prefix_length: u8) -> Self {
        let mask = mask(prefix_length);
        Self { base: address.to_bits() & mask, prefix_length }
    }

    /// How many bits are the network's.
    #[must_use]
    pub const fn prefix_length(self) -> u8 {
        self.prefix_length
    }

    /// The mask of the network's bits.
    #[must_use]
    pub const fn mask(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(mask(self.prefix_length))
    }

    /// Its `number`th address; `None` beyond its end.
    #[must_use]
    pub fn nth(self, number: u32) -> Option<Ipv4Addr> {
        (number <= !mask(self.prefix_length)).then(|| Ipv4Addr::from_bits(self.base | number))
    }

    /// The first address: the host's own.
    #[must_use]
    pub const fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base | 1)
    }

    /// How many addresses there are, the first and the last included.
    #[must_use]
    pub const fn size(self) -> u32 {
        (!mask(self.prefix_length)).saturating_add(1)
    }

    /// Whether the address is one of a station in it.
    #[must_use]
    pub fn has_station(self, address: Ipv4Addr) -> bool {
        let host = address.to_bits() & !mask(self.prefix_length);
        address.to_bits() & mask(self.prefix_length) == self.base && host != 0 && host != self.size() - 1
    }

    /// Whether any address lies in both.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        let mask = mask(self.prefix_length.min(other.prefix_length));
        self.base & mask == other.base & mask
    }
}

const fn mask(prefix_length: u8) -> u32 {
    if prefix_length == 0 { 0 } else { u32::MAX << (32 - prefix_length as u32) }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.base), self.prefix_length)
    }
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let refused = || SubnetError(text.to_owned());
        let (address, length) = text.split_once('/').ok_or_else(refused)?;
        let address: Ipv4Addr = address.parse().map_err(|_| refused())?;
        let prefix_length: u8 = length.parse().map_err(|_| refused())?;
        let subnet = Self { base: address.to_bits(), prefix_length };
        if !(8..=29).contains(&prefix_length) || subnet != Self::around(address, prefix_length) {
            return Err(refused());
        }
        Ok(subnet)
    }
}

impl TryFrom<String> for Subnet {
    type Error = SubnetError;

    fn try_from(text: String) -> Result<Self, SubnetError> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn only_subnets_with_room_are_taken() {
        let subnet = subnet("10.88.0.0/16");
        assert_eq!(
            (subnet.gateway(), subnet.mask()),
            ("10.88.0.1".parse().unwrap(), "255.255.0.0".parse().unwrap())
        );
        assert_eq!((subnet.size(), subnet.to_string().as_str()), (65_536, "10.88.0.0/16"));
        for text in ["", "10.88.0.0", "10.88.0.1/16", "10.88.0.0/30", "0.0.0.0/0", "fd00::/64", "10.88.0.0/x"]
        {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
    }

    #[test]
    fn stations_are_neither_the_network_nor_everybody() {
        let subnet = subnet("10.1.2.0/24");
        for (address, is_station) in [
            ("10.1.2.0", false),
            ("10.1.2.1", true),
            ("10.1.2.254", true),
            ("10.1.2.255", false),
            ("10.1.3.1", false),
        ] {
            assert_eq!(subnet.has_station(address.parse().unwrap()), is_station, "{address}");
        }
        assert_eq!((subnet.nth(255), subnet.nth(256)), (Some("10.1.2.255".parse().unwrap()), None));
    }

    #[test]
    fn overlaps_are_seen_both_ways() {
        for (one, other, overlap) in [
            ("10.0.0.0/8", "10.88.0.0/16", true),
            ("10.88.0.0/16", "10.89.0.0/16", false),
            ("10.1.2.0/24", "10.1.2.0/24", true),
        ] {
            assert_eq!(subnet(one).overlaps(subnet(other)), overlap);
            assert_eq!(subnet(other).overlaps(subnet(one)), overlap);
        }
        assert!(Subnet::around(Ipv4Addr::UNSPECIFIED, 0).overlaps(subnet("10.1.2.0/24")));
    }
}
