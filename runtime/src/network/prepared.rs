//! The interfaces of a network namespace that an engine or CNI prepared, carried into a VM: for each a TAP interface, tied to it
//! in both directions before the namespace's own IP stack sees a packet (tc's ingress hook and mirred action). The guest gets
//! the same addresses.
//!
//! An engine's resolver in such a namespace (Docker's) asks others from there. Its answers and the neighbors' addresses that it needs would be
//! the guest's alone: [`Resolver::InNamespace`] leaves some ports to the namespace.
//!
//! Works on the namespace of the calling thread. What it makes goes with the TAP's last user, or with the namespace.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use holm_protocol::vm_config::{NetworkDevice, NetworkRates};
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

use super::error::NetworkError;
use super::{netdevice, routes};
use crate::sandbox::{GuestInterface, VmLink, VmNetwork};

/// Beginning of the names of TAPs in such a namespace.
const TAP_PREFIX: &str = "holm";
/// How long those of a VM that is ending may stay, and between two looks.
const OTHERS_TIMEOUT: Duration = Duration::from_secs(1);
const OTHERS_PAUSE: Duration = Duration::from_millis(10);

/// Whether the engine has a resolver in the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolver {
    /// At [`super::RESOLVER_ADDRESS`].
    InNamespace,
    /// None: every packet is the guest's.
    None,
}

/// From which ports the namespace asks nameservers then: above those that a guest's kernel chooses by itself.
const NAMESPACE_PORTS: (u16, u16) = (61_000, 65_535);
/// What the namespace's kernel chooses from.
const PORT_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// An interface as it is found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Found {
    mac: Option<[u8; 6]>,
    /// The first one, and the length of its network's bits.
    address: Option<(Ipv4Addr, u8)>,
}

/// Ties each interface that has an IPv4 address to a TAP of this many queues.
///
/// # Errors
/// One cannot be; those before it are tied.
pub(crate) fn carry_prepared(
    resolver: Resolver,
    queues: usize,
) -> Result<Vec<(VmNetwork, GuestInterface)>, NetworkError> {
    let failed = |source| NetworkError::Device { action: "list the interfaces".to_owned(), source };
    let gateways = routes::default_gateways();
    let begun = Instant::now();
    let found = loop {
        let found = interfaces().map_err(failed)?;
        if !found.keys().any(|name| name.starts_with(TAP_PREFIX)) {
            break found;
        }
        // They go with their VM, and its may be going now.
        if begun.elapsed() > OTHERS_TIMEOUT {
            return Err(NetworkError::Device {
                action: "share a network namespace with another container's VM".to_owned(),
                source: io::Error::from(io::ErrorKind::ResourceBusy),
            });
        }
        sleep(OTHERS_PAUSE);
    };
    if resolver == Resolver::InNamespace {
        let (first, last) = NAMESPACE_PORTS;
        fs::write(PORT_RANGE, format!("{first} {last}")).map_err(|source| NetworkError::Device {
            action: "set the ports of the container's network namespace".to_owned(),
            source,
        })?;
    }
    let mut carried = Vec::new();
    for (name, interface) in found {
        let (Some(mac), Some((address, prefix_length))) = (interface.mac, interface.address) else {
            continue;
        };
        let mtu_bytes = netdevice::mtu(&name)?;
        let tap_name = format!("{TAP_PREFIX}{}", carried.len());
        let tap = netdevice::make_tap(&tap_name, queues)?;
        netdevice::bring_up_with_mtu(&tap_name, mtu_bytes)?;
        tie(&name, &tap_name, resolver)?;
        let device = NetworkDevice { mac, mtu_bytes, rates: NetworkRates::default() };
        let gateway = gateways.get(&name).copied();
        let guest = GuestInterface { name, mac, address, prefix_length, gateway, ipv6: None, mtu_bytes };
        carried.push((VmNetwork { link: VmLink::Tap(tap), device }, guest));
    }
    Ok(carried)
}

fn interfaces() -> io::Result<BTreeMap<String, Found>> {
    let mut all: BTreeMap<String, Found> = BTreeMap::new();
    for entry in getifaddrs()? {
        if entry.flags.contains(InterfaceFlags::IFF_LOOPBACK) {
            continue;
        }
        let found = all.entry(entry.interface_name).or_default();
        let Some(address) = entry.address else { continue };
        if let Some(link) = address.as_link_addr() {
            found.mac = link.addr().filter(|mac| *mac != [0; 6]);
        }
        if let (Some(ip), Some(mask)) = (address.as_sockaddr_in(), entry.netmask) {
            let mask = mask.as_sockaddr_in().map_or(u32::MAX, |mask| mask.ip().to_bits());
            let length = u8::try_from(mask.leading_ones()).unwrap_or_default();
            found.address.get_or_insert((ip.ip(), length));
        }
    }
    Ok(all)
}

/// Has what comes in on each of two interfaces go out on the other.
fn tie(one: &str, other: &str, resolver: Resolver) -> Result<(), NetworkError> {
    let commands = commands_for(one, other, resolver);
    let Err(first) = run_tc(&commands) else { return Ok(()) };
    // An earlier container of this namespace left its hook; what it led to is gone.
    let again = format!("qdisc del dev {one} ingress\n{commands}");
    run_tc(&again).map_err(|_| NetworkError::Device {
        action: format!("tie {one} to {other} with tc"),
        source: io::Error::other(first),
    })
}

fn commands_for(one: &str, other: &str, resolver: Resolver) -> String {
    let mut commands = String::new();
    for (from, to) in [(one, other), (other, one)] {
        commands.push_str(&format!("qdisc add dev {from} ingress\n"));
        if resolver == Resolver::InNamespace && from == one {
            commands.push_str(&for_the_namespace(from, to));
        }
        commands.push_str(&format!(
            "filter add dev {from} parent ffff: prio 9 protocol all matchall action mirred egress redirect dev {to}\n"
        ));
    }
    commands
}

/// Nameservers' answers to the namespace are its own, who has which address concerns it as well as the guest.
fn for_the_namespace(from: &str, to: &str) -> String {
    let (first, last) = NAMESPACE_PORTS;
    let mut commands = format!(
        "filter add dev {from} parent ffff: prio 1 protocol arp matchall action mirred egress mirror dev {to} pass\n"
    );
    for transport in ["udp", "tcp"] {
        commands.push_str(&format!(
            "filter add dev {from} parent ffff: prio 2 protocol ip flower ip_proto {transport} src_port 53 \
             dst_port {first}-{last} action pass\n"
        ));
    }
    commands
}

fn run_tc(commands: &str) -> Result<(), String> {
    let mut tc = Command::new("tc");
    tc.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let told = |error: io::Error| format!("tc (of iproute2): {error}");
    let mut child = tc.spawn().map_err(told)?;
    if let Some(mut stdin) = child.stdin.take() {
        // What it did not read it complains about.
        let _ = stdin.write_all(commands.as_bytes());
    }
    let output = child.wait_with_output().map_err(told)?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_go_both_ways() {
        let commands = commands_for("eth0", "holm0", Resolver::None);
        assert_eq!(commands.lines().count(), 4);
        for (from, to) in [("eth0", "holm0"), ("holm0", "eth0")] {
            let filter = format!(
                "dev {from} parent ffff: prio 9 protocol all matchall action mirred egress redirect dev {to}"
            );
            assert!(commands.contains(&filter), "{commands}");
        }
    }

    #[test]
    fn the_answers_to_an_engines_resolver_stay_in_the_namespace() {
        let commands = commands_for("eth0", "holm0", Resolver::InNamespace);
        assert_eq!(commands.lines().count(), 7);
        for words in ["protocol arp", "ip_proto udp src_port 53 dst_port 61000-65535", "ip_proto tcp"] {
            let mut lines = commands.lines().filter(|line| line.contains(words));
            let line = lines.next().unwrap();
            assert!(line.starts_with("filter add dev eth0") && line.ends_with("pass"), "{line}");
            assert_eq!(lines.next(), None, "the guest's packets all go out");
        }
    }
}
