//! Which address and which subnet is next. Pure.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::error::NetworkError;
use super::record::Network;
use super::subnet::Subnet;
use super::subnet6::Subnet6;

/// The address that was asked for, or the lowest that nobody has.
pub(super) fn choose_address(
    network: &Network,
    wanted: Option<Ipv4Addr>,
    taken: &HashSet<Ipv4Addr>,
) -> Result<Ipv4Addr, NetworkError> {
    let subnet = || network.subnet.to_string();
    if let Some(address) = wanted {
        return if !is_containers(network, address) {
            Err(NetworkError::AddressOutside { address: address.into(), subnet: subnet() })
        } else if taken.contains(&address) {
            Err(NetworkError::AddressTaken(address.into()))
        } else {
            Ok(address)
        };
    }
    let free = addresses(network).find(|address| !taken.contains(address));
    free.ok_or_else(|| NetworkError::NoAddress(subnet()))
}

/// The IPv6 address that was asked for, or the one that goes with the container's IPv4 address, or the lowest that nobody has; `None` on a
/// network that has none.
pub(super) fn choose_address6(
    network: &Network,
    wanted: Option<Ipv6Addr>,
    beside: Ipv4Addr,
    taken: &HashSet<Ipv6Addr>,
) -> Result<Option<Ipv6Addr>, NetworkError> {
    let Some(ipv6) = network.ipv6 else {
        let refusal = || NetworkError::NoIpv6(network.name.to_string());
        return wanted.map_or(Ok(None), |_| Err(refusal()));
    };
    if let Some(address) = wanted {
        return if !ipv6.is_containers(address) {
            Err(NetworkError::AddressOutside { address: address.into(), subnet: ipv6.subnet.to_string() })
        } else if taken.contains(&address) {
            Err(NetworkError::AddressTaken(address.into()))
        } else {
            Ok(Some(address))
        };
    }
    let is_free = |address: &Ipv6Addr| ipv6.is_containers(*address) && !taken.contains(address);
    // As many numbers as there are containers are enough, and no subnet has more than it can number.
    let lowest = || (1..).map_while(|number| ipv6.subnet.nth(number)).find(is_free);
    let found = network.ipv6_beside(beside).filter(is_free).or_else(lowest);
    found.map(Some).ok_or_else(|| NetworkError::NoAddress(ipv6.subnet.to_string()))
}

/// What containers can have, in the order in which they get it.
pub(super) fn addresses(network: &Network) -> impl Iterator<Item = Ipv4Addr> {
    let all = (0..network.subnet.size()).filter_map(|number| network.subnet.nth(number));
    all.filter(|address| is_containers(network, *address))
}

fn is_containers(network: &Network, address: Ipv4Addr) -> bool {
    network.subnet.has_station(address) && address != network.gateway()
}

/// The first subnet of ours that overlaps none of `taken`.
pub(super) fn choose_subnet(taken: &[Subnet]) -> Result<Subnet, NetworkError> {
    (88..=255_u8)
        .map(|second| Subnet::around(Ipv4Addr::new(10, second, 0, 0), 16))
        .find(|subnet| !taken.iter().any(|other| other.overlaps(*subnet)))
        .ok_or(NetworkError::NoSubnet)
}

/// A unique local /64 (RFC 4193) that overlaps none of `taken`: `root` (40 bits) tells the roots of hosts from one another, `network`
/// is where the search begins.
pub(super) fn choose_subnet6(
    root: [u8; 5],
    network: [u8; 2],
    taken: &[Subnet6],
) -> Result<Subnet6, NetworkError> {
    let [a, b, c, d, e] = root;
    let first = u16::from_be_bytes(network);
    (0..=u16::MAX)
        .map(|step| {
            let [f, g] = first.wrapping_add(step).to_be_bytes();
            let address = Ipv6Addr::from_octets([0xfd, a, b, c, d, e, f, g, 0, 0, 0, 0, 0, 0, 0, 0]);
            Subnet6::around(address, 64)
        })
        .find(|subnet| !taken.iter().any(|other| other.overlaps(*subnet)))
        .ok_or(NetworkError::NoSubnet6)
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::super::record::NetworkIpv6;
    use super::*;

    fn network(subnet: &str) -> Network {
        Network {
            id: "a".repeat(64),
            name: "net".parse().unwrap(),
            created: OffsetDateTime::UNIX_EPOCH,
            subnet: subnet.parse().unwrap(),
            chosen_gateway: None,
            ipv6: None,
            bridge: String::new(),
            internal: false,
            mtu: None,
            labels: Default::default(),
        }
    }

    #[test]
    fn a_chosen_gateway_is_no_containers() {
        let chosen = Network { chosen_gateway: "10.1.2.2".parse().ok(), ..network("10.1.2.0/29") };
        let all: Vec<String> = addresses(&chosen).map(|address| address.to_string()).collect();
        assert_eq!(all, ["10.1.2.1", "10.1.2.3", "10.1.2.4", "10.1.2.5", "10.1.2.6"]);
    }

    #[test]
    fn ipv6_addresses_go_with_the_others_while_they_can() {
        let subnet: Subnet6 = "fd00::/120".parse().unwrap();
        let ipv6 = NetworkIpv6 { subnet, gateway: "fd00::3".parse().unwrap() };
        let network = Network { ipv6: Some(ipv6), ..network("10.1.0.0/16") };
        let taken: HashSet<Ipv6Addr> = ["fd00::2", "fd00::9"].map(|text| text.parse().unwrap()).into();
        let choose = |wanted: Option<&str>, beside: &str| {
            let wanted = wanted.map(|text| text.parse().unwrap());
            choose_address6(&network, wanted, beside.parse().unwrap(), &taken)
        };
        let chosen = |beside: &str| choose(None, beside).unwrap().unwrap().to_string();
        assert_eq!(chosen("10.1.0.7"), "fd00::7");
        for beside in ["10.1.0.2", "10.1.0.3", "10.1.7.0"] {
            assert_eq!(chosen(beside), "fd00::1", "taken, the host's, or not there");
        }
        assert_eq!(choose(Some("fd00::aa"), "10.1.0.7").unwrap(), "fd00::aa".parse().ok());
        assert!(matches!(choose(Some("fd00::9"), "10.1.0.7"), Err(NetworkError::AddressTaken(_))));
        for outside in ["fd00::3", "fd00::", "fd01::7"] {
            let refused = choose(Some(outside), "10.1.0.7");
            assert!(matches!(refused, Err(NetworkError::AddressOutside { .. })), "{outside}");
        }
        let without = Network { ipv6: None, ..network.clone() };
        let beside = "10.1.0.7".parse().unwrap();
        assert_eq!(choose_address6(&without, None, beside, &taken).unwrap(), None);
        let refused = choose_address6(&without, "fd00::7".parse().ok(), beside, &taken);
        assert!(matches!(refused, Err(NetworkError::NoIpv6(_))));
    }

    #[test]
    fn derived_subnets_step_over_what_is_taken() {
        let choose = |taken: &[Subnet6]| choose_subnet6([1, 2, 3, 4, 5], [0xff, 0xff], taken).unwrap();
        assert_eq!(choose(&[]).to_string(), "fd01:203:405:ffff::/64");
        assert_eq!(choose(&[choose(&[])]).to_string(), "fd01:203:405::/64");
    }

    #[test]
    fn the_lowest_free_address_is_taken() {
        let network = network("10.1.2.0/29");
        let mut taken = HashSet::new();
        for expected in ["10.1.2.2", "10.1.2.3", "10.1.2.4", "10.1.2.5", "10.1.2.6"] {
            let address = choose_address(&network, None, &taken).unwrap();
            assert_eq!(address.to_string(), expected);
            taken.insert(address);
        }
        assert!(matches!(choose_address(&network, None, &taken), Err(NetworkError::NoAddress(_))));
        taken.remove(&"10.1.2.4".parse().unwrap());
        assert_eq!(choose_address(&network, None, &taken).unwrap().to_string(), "10.1.2.4");
    }

    #[test]
    fn wanted_addresses_must_be_free_and_inside() {
        let network = network("10.1.2.0/24");
        let taken = HashSet::from(["10.1.2.9".parse().unwrap()]);
        let choose = |address: &str| choose_address(&network, Some(address.parse().unwrap()), &taken);
        assert_eq!(choose("10.1.2.8").unwrap().to_string(), "10.1.2.8");
        assert!(matches!(choose("10.1.2.9"), Err(NetworkError::AddressTaken(_))));
        for address in ["10.1.2.0", "10.1.2.1", "10.1.2.255", "10.1.3.1"] {
            assert!(matches!(choose(address), Err(NetworkError::AddressOutside { .. })), "{address}");
        }
    }

    #[test]
    fn subnets_step_over_what_is_taken() {
        let taken = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        assert_eq!(choose_subnet(&[]).unwrap().to_string(), "10.88.0.0/16");
        assert_eq!(choose_subnet(&taken(&["10.88.4.0/24"])).unwrap().to_string(), "10.89.0.0/16");
        assert!(matches!(choose_subnet(&taken(&["10.0.0.0/8"])), Err(NetworkError::NoSubnet)));
    }
}
