//! Networks and endpoints as a script for nft(8). Pure.
//!
//! Two tables of our own, replaced whole; all other rules of the host stay what they are:
//!
//! ```text
//! bridge NAME   frames that come from a container: only from its own addresses
//! inet NAME     nat: published ports, from outside and from the host itself; masquerading to the outside
//!               filter: networks do not reach each other, nor does the outside what is not published
//! ```
//!
//! IPv6 is let through for networks that have it: from a container's own address and the one that its kernel makes for the link, and
//! nothing by which it would be taken for a router or for a neighbour. Ports that are published over IPv6 without a rule
//! (loopback, link-local addresses, containers without IPv6) are the [`super::proxy`]'s, to which containers have no way.
//!
//! The bridge table drops what it does not know on our bridges, so an interface that is on one before its rules are there
//! reaches nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::address_pool::addresses;
use super::endpoint::{Endpoint, PublishedPort};
use super::mac_address::MacAddress;
use super::record::Network;
use crate::container::settings::Protocol;

/// How many addresses of a network have rules before anybody has them.
const AHEAD: usize = 16;

/// The script that makes the tables `table` what these networks and endpoints need. An interface, its hardware address and its
/// address follow from one another, so rules are made ahead for the addresses that are next: most starts find theirs there.
pub(super) fn script(table: &str, networks: &[Network], endpoints: &[Endpoint]) -> String {
    let mut script = String::new();
    for family in ["bridge", "inet"] {
        // Deleting a table needs one that is there.
        line(&mut script, &format!("add table {family} {table}"));
        line(&mut script, &format!("delete table {family} {table}"));
    }
    if networks.is_empty() {
        return script;
    }
    let bridges = elements("type ifname", networks.iter().map(|network| quoted(&network.bridge)));
    let stations: Stations = networks.iter().flat_map(|network| stations(network, endpoints)).collect();
    bridge_table(&mut script, table, &bridges, &stations);
    inet_table(&mut script, table, &bridges, networks, endpoints);
    script
}

/// Who may send, by address.
type Stations = BTreeMap<Ipv4Addr, Station>;

/// What goes with an address.
#[derive(Clone, Copy)]
struct Station {
    mac: MacAddress,
    ipv6: Option<Ipv6Addr>,
}

/// The addresses of a network that may be used, with what goes with them.
fn stations(network: &Network, endpoints: &[Endpoint]) -> Stations {
    let living = || endpoints.iter().filter(|endpoint| endpoint.network_id == network.id);
    // Of two sizes that follow each other one is twice the other: the rules seldom change.
    let ahead = (living().count() + 1).next_power_of_two().max(AHEAD);
    let next = |address| Station { mac: MacAddress::of_ip(address), ipv6: network.ipv6_beside(address) };
    let mut stations: Stations =
        addresses(network).take(ahead).map(|address| (address, next(address))).collect();
    stations.extend(living().map(|e| (e.address, Station { mac: e.mac, ipv6: e.address6 })));
    stations
}

fn bridge_table(script: &mut String, table: &str, bridges: &str, stations: &Stations) {
    let tap = |address: &Ipv4Addr| quoted(&Endpoint::tap_of(*address));
    let own = stations.iter().map(|(address, s)| format!("{} . {} . {address}", tap(address), s.mac));
    let taps = stations.keys().map(tap);
    let of_ipv6 = stations.iter().filter_map(|(address, s)| Some((tap(address), s.mac, s.ipv6?)));
    let of_ipv6: Vec<(String, MacAddress, Ipv6Addr)> = of_ipv6.collect();
    let (sets6, rules6) = if of_ipv6.is_empty() { Default::default() } else { bridge_ipv6(&of_ipv6) };
    let _ = write!(
        script,
        "table bridge {table} {{
  set bridges {{ {bridges} }}
  set taps {{ {} }}
  set own {{ {} }}
{sets6}  chain from_containers {{
    type filter hook prerouting priority -300; policy accept;
    meta ibrname != @bridges accept
    iifname != @taps drop
    ether type ip iifname . ether saddr . ip saddr @own accept
    ether type arp iifname . ether saddr . arp saddr ip @own iifname . arp saddr ether . arp saddr ip @own accept
{rules6}    drop
  }}
}}
",
        elements("type ifname", taps),
        elements("type ifname . ether_addr . ipv4_addr", own),
    );
}

/// What the bridge table has for interfaces with IPv6 addresses, beside its chain and in it. An advertisement is about its sender:
/// its target is where the message's fixed part ends (RFC 4861, section 4.4).
fn bridge_ipv6(stations: &[(String, MacAddress, Ipv6Addr)]) -> (String, String) {
    let own = stations.iter().flat_map(|(tap, mac, address)| {
        [mac.link_local(), *address].map(|address| format!("{tap} . {mac} . {address}"))
    });
    let mut sets = format!(
        "  set own6 {{ {} }}\n  chain adverts {{\n",
        elements("type ifname . ether_addr . ipv6_addr", own)
    );
    for (tap, mac, address) in stations {
        let (link_local, address) = (mac.link_local().to_bits(), address.to_bits());
        line(
            &mut sets,
            &format!("    iifname {tap} @th,64,128 {{ 0x{link_local:032x}, 0x{address:032x} }} accept"),
        );
    }
    sets.push_str("    drop\n  }\n");
    let rules = "    ether type ip6 iifname . ether saddr . ip6 saddr != @own6 drop
    ether type ip6 icmpv6 type { nd-router-advert, nd-redirect } drop
    ether type ip6 icmpv6 type nd-neighbor-advert jump adverts
    ether type ip6 accept
";
    (sets, rules.to_owned())
}

fn inet_table(script: &mut String, table: &str, bridges: &str, networks: &[Network], endpoints: &[Endpoint]) {
    let same = networks.iter().map(|n| format!("{0} . {0}", quoted(&n.bridge)));
    let internal = networks.iter().filter(|n| n.internal).map(|n| quoted(&n.bridge));
    let _ = write!(
        script,
        "table inet {table} {{
  set bridges {{ {bridges} }}
  set same {{ {} }}
  set internal {{ {} }}
",
        elements("type ifname . ifname", same),
        elements("type ifname", internal),
    );
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let target = |e: &Endpoint, port: u16| format!("{} . {port}", e.address);
        let ports = || published(endpoints, protocol).filter_map(ipv4);
        let everywhere = ports()
            .filter(|(_, ip, ..)| ip.is_unspecified())
            .map(|(e, _, host, container)| format!("{host} : {}", target(e, container)));
        let at = ports()
            .filter(|(_, ip, ..)| !ip.is_unspecified())
            .map(|(e, ip, host, container)| format!("{ip} . {host} : {}", target(e, container)));
        let _ = write!(
            script,
            "  map {protocol}_everywhere {{ {} }}
  map {protocol}_at {{ {} }}
",
            elements("type inet_service : ipv4_addr . inet_service", everywhere),
            elements("type ipv4_addr . inet_service : ipv4_addr . inet_service", at),
        );
    }
    let has_ipv6 = networks.iter().any(|network| network.ipv6.is_some());
    if has_ipv6 {
        publish_ipv6(script, endpoints);
    }
    let jump6 = if has_ipv6 { "    meta nfproto ipv6 jump publish6\n" } else { "" };
    script.push_str("  chain publish {\n");
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        line(script, &format!("    dnat ip to ip daddr . {protocol} dport map @{protocol}_at"));
        line(
            script,
            &format!("    fib daddr type local dnat ip to {protocol} dport map @{protocol}_everywhere"),
        );
    }
    let _ = write!(
        script,
        "  }}
  chain from_outside {{
    type nat hook prerouting priority -100; policy accept;
    meta nfproto ipv4 jump publish
{jump6}  }}
  chain from_host {{
    type nat hook output priority -100; policy accept;
    meta nfproto ipv4 jump publish
{jump6}  }}
  chain to_outside {{
    type nat hook postrouting priority 100; policy accept;
    ip saddr 127.0.0.0/8 oifname @bridges masquerade
"
    );
    for network in networks {
        let bridge = quoted(&network.bridge);
        let ipv6 = network.ipv6.map(|ipv6| format!("ip6 saddr {}", ipv6.subnet));
        for from in [Some(format!("ip saddr {}", network.subnet)), ipv6].into_iter().flatten() {
            // A container that asks for a port of the host that leads back to its own network.
            line(script, &format!("    {from} oifname {bridge} ct status dnat masquerade"));
            if !network.internal {
                line(script, &format!("    {from} oifname != {bridge} masquerade"));
            }
        }
    }
    // Loopback addresses are routed on the bridges for the host's own sake; containers have no business there.
    script.push_str(
        "  }
  chain guard {
    type filter hook prerouting priority -300; policy accept;
    iifname @bridges ip daddr 127.0.0.0/8 drop
  }
  chain between {
    type filter hook forward priority 0; policy accept;
    iifname . oifname @same accept
    iifname @bridges oifname @bridges drop
    iifname @internal drop
    oifname @internal drop
    iifname @bridges accept
    oifname @bridges ct state established,related accept
    oifname @bridges ct status dnat accept
    oifname @bridges drop
  }
}
",
    );
}

/// What leads to published ports over IPv6, and keeps containers from the proxy of those to which nothing leads here.
fn publish_ipv6(script: &mut String, endpoints: &[Endpoint]) {
    let mut rules = String::new();
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let ports = || {
            let over6 = published(endpoints, protocol).filter_map(|(endpoint, port)| match port.host_ip {
                IpAddr::V6(ip) => Some((endpoint.address6?, ip, port.host_port, port.container_port)),
                IpAddr::V4(_) => None,
            });
            over6.partition::<Vec<_>, _>(|(_, ip, ..)| ip.is_unspecified())
        };
        let (everywhere, at) = ports();
        let everywhere = everywhere
            .iter()
            .map(|(address, _, host, container)| format!("{host} : {address} . {container}"));
        let at = at
            .iter()
            .map(|(address, ip, host, container)| format!("{ip} . {host} : {address} . {container}"));
        let _ = write!(
            script,
            "  map {protocol}6_everywhere {{ {} }}
  map {protocol}6_at {{ {} }}
",
            elements("type inet_service : ipv6_addr . inet_service", everywhere),
            elements("type ipv6_addr . inet_service : ipv6_addr . inet_service", at),
        );
        line(&mut rules, &format!("    dnat ip6 to ip6 daddr . {protocol} dport map @{protocol}6_at"));
        line(
            &mut rules,
            &format!("    fib daddr type local dnat ip6 to {protocol} dport map @{protocol}6_everywhere"),
        );
    }
    let proxied = [Protocol::Tcp, Protocol::Udp].into_iter().flat_map(|protocol| {
        let over6 = published(endpoints, protocol).filter(|(_, port)| port.host_ip.is_ipv6());
        over6.map(move |(_, port)| format!("{protocol} . {}", port.host_port))
    });
    // Two of one port on different addresses are one.
    let proxied: BTreeSet<String> = proxied.collect();
    let _ = write!(
        script,
        "  set proxied {{ {} }}
  chain publish6 {{
    ip6 daddr {{ ::1, fe80::/10 }} return
{rules}  }}
  chain to_host {{
    type filter hook input priority 0; policy accept;
    iifname @bridges meta nfproto ipv6 meta l4proto . th dport @proxied drop
  }}
",
        elements("type inet_proto . inet_service", proxied.into_iter()),
    );
}

/// Endpoint and port of all that is published.
fn published(
    endpoints: &[Endpoint],
    protocol: Protocol,
) -> impl Iterator<Item = (&Endpoint, &PublishedPort)> {
    endpoints.iter().flat_map(move |endpoint| {
        let of_protocol = endpoint.ports.iter().filter(move |port| port.protocol == protocol);
        of_protocol.map(move |port| (endpoint, port))
    })
}

/// Endpoint, host address, host port and container port of what is published over IPv4.
fn ipv4<'a>((endpoint, port): (&'a Endpoint, &PublishedPort)) -> Option<(&'a Endpoint, Ipv4Addr, u16, u16)> {
    match port.host_ip {
        IpAddr::V4(ip) => Some((endpoint, ip, port.host_port, port.container_port)),
        IpAddr::V6(_) => None,
    }
}

fn quoted(interface: &str) -> String {
    format!("\"{interface}\"")
}

/// The body of a set or map; nft has no empty list.
fn elements(kind: &str, elements: impl Iterator<Item = String>) -> String {
    let elements: Vec<String> = elements.collect();
    if elements.is_empty() {
        return format!("{kind};");
    }
    format!("{kind}; elements = {{ {} }};", elements.join(", "))
}

fn line(script: &mut String, text: &str) {
    script.push_str(text);
    script.push('\n');
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::super::record::NetworkIpv6;
    use super::*;

    fn network(name: &str, second: u8) -> Network {
        Network {
            id: name.repeat(16),
            name: name.parse().unwrap(),
            created: OffsetDateTime::UNIX_EPOCH,
            subnet: format!("10.{second}.0.0/16").parse().unwrap(),
            chosen_gateway: None,
            ipv6: None,
            bridge: format!("br-{name}"),
            internal: false,
            mtu: None,
            labels: Default::default(),
        }
    }

    fn endpoint(network: &Network, digit: &str, last: u8) -> Endpoint {
        let address = network.subnet.nth(last.into()).unwrap();
        Endpoint {
            container_id: digit.repeat(64).parse().unwrap(),
            network_id: network.id.clone(),
            address,
            address6: network.ipv6_beside(address),
            mac: MacAddress::of_ip(address),
            tap: Endpoint::tap_of(address),
            aliases: vec![],
            ports: vec![],
        }
    }

    #[test]
    fn without_networks_only_our_tables_are_deleted() {
        let script = script("holm", &[], &[]);
        assert_eq!(
            script,
            "add table bridge holm\ndelete table bridge holm\nadd table inet holm\ndelete table inet holm\n"
        );
    }

    #[test]
    fn addresses_ports_and_networks_stand_in_sets() {
        let (one, two) = (network("abcd", 88), network("efgh", 89));
        let mut web = endpoint(&one, "1", 2);
        let port = |protocol, ip: &str, host_port| PublishedPort {
            protocol,
            host_ip: ip.parse().unwrap(),
            host_port,
            container_port: 80,
        };
        web.ports = vec![
            port(Protocol::Tcp, "0.0.0.0", 8080),
            port(Protocol::Udp, "127.0.0.1", 53),
            port(Protocol::Tcp, "::", 9090),
        ];
        let script = script("holm", &[one.clone(), two.clone()], &[web, endpoint(&two, "2", 2)]);
        for expected in [
            "\"holm0a580002\" . 02:42:0a:58:00:02 . 10.88.0.2, \"holm0a580003\" . 02:42:0a:58:00:03 . 10.88.0.3",
            "\"holm0a590002\" . 02:42:0a:59:00:02 . 10.89.0.2",
            "elements = { 8080 : 10.88.0.2 . 80 }",
            "elements = { 127.0.0.1 . 53 : 10.88.0.2 . 80 }",
            "\"br-abcd\" . \"br-abcd\", \"br-efgh\" . \"br-efgh\"",
            "ip saddr 10.88.0.0/16 oifname != \"br-abcd\" masquerade",
        ] {
            assert!(script.contains(expected), "{expected} is not in {script}");
        }
        assert!(!script.contains("9090"), "{script}");
    }

    #[test]
    fn who_has_an_address_that_is_next_changes_no_rule() {
        let network = network("abcd", 88);
        let of = |endpoints: &[Endpoint]| script("holm", std::slice::from_ref(&network), endpoints);
        let nobody = of(&[]);
        assert_eq!(of(&[endpoint(&network, "1", 2), endpoint(&network, "2", 3)]), nobody);
        assert_ne!(of(&[endpoint(&network, "1", 200)]), nobody);
        let other_mac = Endpoint { mac: "02:00:00:00:00:01".parse().unwrap(), ..endpoint(&network, "1", 2) };
        assert_ne!(of(&[other_mac]), nobody);
        let many: Vec<_> = (2..40).map(|last| endpoint(&network, "1", last)).collect();
        assert!(of(&many).contains("\"holm0a580041\""), "64 of them");
        assert_eq!(of(&many), of(&many[..35]));
    }

    #[test]
    fn ipv6_has_rules_of_its_own_where_a_network_has_it() {
        let subnet = "fd00:1::/64".parse().unwrap();
        let ipv6 = NetworkIpv6 { subnet, gateway: subnet.gateway() };
        let (with, without) = (Network { ipv6: Some(ipv6), ..network("abcd", 88) }, network("efgh", 89));
        let port = |ip: &str, host_port| PublishedPort {
            protocol: Protocol::Tcp,
            host_ip: ip.parse().unwrap(),
            host_port,
            container_port: 80,
        };
        let mut web = endpoint(&with, "1", 2);
        web.ports = vec![port("::", 8080), port("fd01::7", 8081), port("0.0.0.0", 8080)];
        let mut other = endpoint(&without, "2", 2);
        other.ports = vec![port("::", 9090), port("::1", 9090)];
        let script = script("holm", &[with, without.clone()], &[web, other.clone()]);
        for expected in [
            "\"holm0a580002\" . 02:42:0a:58:00:02 . fe80::42:aff:fe58:2",
            "\"holm0a580003\" . 02:42:0a:58:00:03 . fd00:1::3",
            "iifname \"holm0a580002\" @th,64,128 { 0xfe8000000000000000420afffe580002, \
             0xfd000001000000000000000000000002 } accept",
            "elements = { 8080 : fd00:1::2 . 80 }",
            "elements = { fd01::7 . 8081 : fd00:1::2 . 80 }",
            "elements = { tcp . 8080, tcp . 8081, tcp . 9090 }",
            "ip6 saddr fd00:1::/64 oifname != \"br-abcd\" masquerade",
        ] {
            assert!(script.contains(expected), "{expected} is not in {script}");
        }
        assert!(!script.contains("\"holm0a590002\" . 02:42:0a:59:00:02 . fe80"), "{script}");
        let only_ipv4 = super::script("holm", &[without], &[other]);
        assert!(!only_ipv4.contains("ip6") && !only_ipv4.contains("9090"), "{only_ipv4}");
    }

    #[test]
    fn internal_networks_have_no_way_out() {
        let inner = Network { internal: true, ..network("abcd", 88) };
        let script = script("holm", std::slice::from_ref(&inner), &[endpoint(&inner, "1", 2)]);
        assert!(!script.contains("oifname != \"br-abcd\" masquerade"), "{script}");
        assert!(script.contains("set internal { type ifname; elements = { \"br-abcd\" }; }"), "{script}");
    }
}
