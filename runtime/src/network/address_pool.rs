//! Which address and which subnet is next. Pure.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use super::error::NetworkError;
use super::subnet::Subnet;

/// The address that was asked for, or the lowest that nobody has.
pub(super) fn choose_address(
    subnet: Subnet,
    wanted: Option<Ipv4Addr>,
    taken: &HashSet<Ipv4Addr>,
) -> Result<Ipv4Addr, NetworkError> {
    if let Some(address) = wanted {
        return if !is_containers(subnet, address) {
            Err(NetworkError::AddressOutside { address, subnet })
        } else if taken.contains(&address) {
            Err(NetworkError::AddressTaken(address))
        } else {
            Ok(address)
        };
    }
    addresses(subnet).find(|address| !taken.contains(address)).ok_or(NetworkError::NoAddress(subnet))
}

/// What containers can have, in the order in which they get it.
pub(super) fn addresses(subnet: Subnet) -> impl Iterator<Item = Ipv4Addr> {
    let all = (0..subnet.size()).filter_map(move |number| subnet.nth(number));
    all.filter(move |address| is_containers(subnet, *address))
}

fn is_containers(subnet: Subnet, address: Ipv4Addr) -> bool {
    subnet.has_station(address) && address != subnet.gateway()
}

/// The first subnet of ours that overlaps none of `taken`.
pub(super) fn choose_subnet(taken: &[Subnet]) -> Result<Subnet, NetworkError> {
    (88..=255_u8)
        .map(|second| Subnet::around(Ipv4Addr::new(10, second, 0, 0), 16))
        .find(|subnet| !taken.iter().any(|other| other.overlaps(*subnet)))
        .ok_or(NetworkError::NoSubnet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_address_is_taken() {
        let subnet: Subnet = "10.1.2.0/29".parse().unwrap();
        let mut taken = HashSet::new();
        for expected in ["10.1.2.2", "10.1.2.3", "10.1.2.4", "10.1.2.5", "10.1.2.6"] {
            let address = choose_address(subnet, None, &taken).unwrap();
            assert_eq!(address.to_string(), expected);
            taken.insert(address);
        }
        assert!(matches!(choose_address(subnet, None, &taken), Err(NetworkError::NoAddress(_))));
        taken.remove(&"10.1.2.4".parse().unwrap());
        assert_eq!(choose_address(subnet, None, &taken).unwrap().to_string(), "10.1.2.4");
    }

    #[test]
    fn wanted_addresses_must_be_free_and_inside() {
        let subnet: Subnet = "10.1.2.0/24".parse().unwrap();
        let taken = HashSet::from(["10.1.2.9".parse().unwrap()]);
        let choose = |address: &str| choose_address(subnet, Some(address.parse().unwrap()), &taken);
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
