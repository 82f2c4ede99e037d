//! Where the kernel sends packets of this thread's network namespace: proc_net(5)'s tables as text, read anew each time.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::subnet::Subnet;
use super::subnet6::Subnet6;

/// A line of /proc/net/route.
struct Route<'a> {
    interface: &'a str,
    destination: Ipv4Addr,
    /// Bits of the destination that count: none for a default route.
    length: u8,
    /// Unspecified for what the interface reaches by itself.
    gateway: Ipv4Addr,
}

/// The subnets to which there are routes, other than the default route.
pub(super) fn subnets() -> Vec<Subnet> {
    subnets_of(&table("route"))
}

/// The same for IPv6.
pub(super) fn subnets6() -> Vec<Subnet6> {
    subnets6_of(&table("ipv6_route"))
}

/// Default gateways by interface.
pub(super) fn default_gateways() -> BTreeMap<String, Ipv4Addr> {
    default_gateways_of(&table("route"))
}

fn table(name: &str) -> String {
    fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default()
}

/// Columns: interface, destination, gateway, flags, ..., mask (the eighth); numbers in the host's byte order.
fn routes(table: &str) -> impl Iterator<Item = Route<'_>> {
    table.lines().skip(1).filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| u32::from_str_radix(words.get(at)?, 16).ok().map(u32::from_be);
        Some(Route {
            interface: words.first()?,
            destination: Ipv4Addr::from_bits(number(1)?),
            gateway: Ipv4Addr::from_bits(number(2)?),
            length: u8::try_from(number(7)?.leading_ones()).ok()?,
        })
    })
}

fn subnets_of(table: &str) -> Vec<Subnet> {
    let routes = routes(table).filter(|route| route.length > 0);
    routes.map(|route| Subnet::around(route.destination, route.length)).collect()
}

fn default_gateways_of(table: &str) -> BTreeMap<String, Ipv4Addr> {
    let defaults = routes(table).filter(|route| {
        route.length == 0 && route.destination.is_unspecified() && !route.gateway.is_unspecified()
    });
    defaults.map(|route| (route.interface.to_owned(), route.gateway)).collect()
}

/// Columns: destination and its length, both in hexadecimal, ..., interface (the last). What every interface
/// has of its own (link-local, multicast, the loopback's) is no route to anywhere.
fn subnets6_of(table: &str) -> Vec<Subnet6> {
    let of_line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let destination = Ipv6Addr::from_bits(u128::from_str_radix(words.first()?, 16).ok()?);
        let length = u8::from_str_radix(words.get(1)?, 16).ok()?;
        let is_own = destination.is_unicast_link_local() || destination.is_multicast();
        let is_route = (1..=128).contains(&length) && !is_own && words.last() != Some(&"lo");
        is_route.then(|| Subnet6::around(destination, length))
    };
    table.lines().filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
                         eth0 00000000 0202000A 0003 0 0 0 00000000 0 0 0\n\
                         eth0 0002000A 00000000 0001 0 0 0 00FFFFFF 0 0 0\n\
                         eth1 00000000 00000000 0001 0 0 0 00000000 0 0 0\n";

    #[test]
    fn subnets_are_read() {
        assert_eq!(subnets_of(TABLE), ["10.0.2.0/24".parse().unwrap()]);
    }

    #[test]
    fn default_gateways_are_read_by_interface() {
        assert_eq!(default_gateways_of(TABLE), [("eth0".to_owned(), Ipv4Addr::new(10, 0, 2, 2))].into());
    }

    #[test]
    fn subnets_of_ipv6_are_read() {
        let zero = "0".repeat(32);
        let line = |destination: &str, length: &str, interface: &str| {
            format!(
                "{destination} {length} {zero} 00 {zero} 00000400 00000001 00000000 00000001 {interface}\n"
            )
        };
        let table = [
            line("fd000001000200030000000000000000", "40", "eth0"),
            line("fe800000000000000000000000000000", "40", "eth0"),
            line("ff000000000000000000000000000000", "08", "eth0"),
            line("00000000000000000000000000000001", "80", "lo"),
            line(&zero, "00", "eth0"),
        ]
        .concat();
        assert_eq!(subnets6_of(&table), ["fd00:1:2:3::/64".parse().unwrap()]);
    }
}
