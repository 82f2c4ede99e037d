//! Network interfaces of a container: found by their address in the guest, moved into the container's network namespace, and
//! set up there.
//!
//! A netlink socket belongs to the namespace in which it was made. The agent makes one before the clone; the child, which is
//! in the new namespace already, sends the request to move the interface through it. So does the thread that connects a
//! container which runs.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::str::FromStr;

use holm_protocol::agent::messages::NetworkInterface;

use crate::fault::{At, Fault};
use crate::sys::{netlink, network};

/// Where the guest lists its interfaces.
const INTERFACES: &str = "/sys/class/net";
/// More than a VM has.
const MAX_INTERFACES: usize = 16;

/// Interfaces to be moved.
#[derive(Debug, Default)]
pub(crate) struct Interfaces {
    interfaces: Vec<Interface>,
    /// Of the agent's namespace; none without interfaces.
    netlink: Option<OwnedFd>,
}

#[derive(Debug)]
struct Interface {
    /// In the agent's namespace.
    index: u32,
    /// In the container's.
    name: String,
    address: Ipv4Addr,
    prefix_length: u8,
    gateway: Option<Ipv4Addr>,
    ipv6: Option<Ipv6>,
    mtu_bytes: u32,
}

/// What an interface has of IPv6.
#[derive(Debug)]
struct Ipv6 {
    address: Ipv6Addr,
    prefix_length: u8,
    gateway: Option<Ipv6Addr>,
}

impl Interfaces {
    /// Checks what is asked for and finds the interfaces.
    pub(crate) fn find(requests: &[NetworkInterface]) -> Result<Self, Fault> {
        if requests.is_empty() {
            return Ok(Self::default());
        }
        if requests.len() > MAX_INTERFACES {
            return Err(Fault::invalid(format!("{} network interfaces are too many", requests.len())));
        }
        let interfaces = requests.iter().map(Interface::find).collect::<Result<_, _>>()?;
        Ok(Self { interfaces, netlink: Some(netlink::open().at("opening a netlink socket")?) })
    }

    /// What the child must keep open.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.netlink.as_ref().map(AsFd::as_fd)
    }

    /// Moves all of them into the current thread's namespace and sets them up.
    pub(crate) fn set_up(&self) -> Result<(), Fault> {
        let Some(netlink) = &self.netlink else { return Ok(()) };
        let namespace = fs::File::open("/proc/thread-self/ns/net").at("opening the network namespace")?;
        for interface in &self.interfaces {
            let name = &interface.name;
            let what = format!("setting up {name}");
            netlink::move_interface(netlink.as_fd(), interface.index, namespace.as_fd(), name).at(&what)?;
            interface.configure(name).at(&what)?;
        }
        Ok(())
    }
}

impl Interface {
    fn find(request: &NetworkInterface) -> Result<Self, Fault> {
        let ipv6 = if request.address6.is_empty() { None } else { Some(Ipv6::of(request)?) };
        let index = index_of(&request.mac).at("looking for network interfaces")?;
        Ok(Self {
            index: index.ok_or_else(|| {
                Fault::invalid(format!("no interface has the address {:02x?}", request.mac))
            })?,
            name: request.name.clone(),
            address: address(&request.address)?,
            prefix_length: prefix_length(request.prefix_length, 32)?,
            gateway: gateway(&request.gateway)?,
            ipv6,
            mtu_bytes: request.mtu_bytes,
        })
    }

    fn configure(&self, name: &str) -> io::Result<()> {
        network::set_mtu(name, self.mtu_bytes)?;
        // The host has chosen the address and knows that nobody else has it; nobody on the network is a router that announces
        // itself, and who says so is lying. Without an address, what the kernel would send of IPv6 is not let through.
        let settings: &[(&str, &str)] = match self.ipv6 {
            None => &[("disable_ipv6", "1")],
            Some(_) => &[("disable_ipv6", "0"), ("accept_ra", "0"), ("accept_dad", "0")],
        };
        for (setting, value) in settings {
            match fs::write(format!("/proc/sys/net/ipv6/conf/{name}/{setting}"), value) {
                Err(error) if error.kind() != io::ErrorKind::NotFound || self.ipv6.is_some() => {
                    return Err(error);
                }
                _ => {}
            }
        }
        network::set_address(name, self.address, self.prefix_length)?;
        network::bring_up(name)?;
        self.gateway.map_or(Ok(()), network::add_default_route)?;
        let Some(ipv6) = &self.ipv6 else { return Ok(()) };
        network::set_address6(name, ipv6.address, ipv6.prefix_length)?;
        ipv6.gateway.map_or(Ok(()), network::add_default_route6)
    }
}

impl Ipv6 {
    fn of(request: &NetworkInterface) -> Result<Self, Fault> {
        Ok(Self {
            address: address(&request.address6)?,
            prefix_length: prefix_length(request.prefix_length6, 128)?,
            gateway: gateway(&request.gateway6)?,
        })
    }
}

fn prefix_length(bits: u32, most: u8) -> Result<u8, Fault> {
    let checked = u8::try_from(bits).ok().filter(|length| (1..=most).contains(length));
    checked.ok_or_else(|| Fault::invalid(format!("prefix length {bits}")))
}

/// An address that may be missing.
pub(crate) fn gateway<A: FromStr>(text: &str) -> Result<Option<A>, Fault> {
    if text.is_empty() { Ok(None) } else { address(text).map(Some) }
}

/// Of what the host sent.
fn address<A: FromStr>(text: &str) -> Result<A, Fault> {
    text.parse().map_err(|_| Fault::invalid(format!("{text:?} is no IP address of its kind")))
}

fn index_of(mac: &[u8]) -> io::Result<Option<u32>> {
    let wanted = mac.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":");
    for entry in fs::read_dir(INTERFACES)? {
        let directory = entry?.path();
        if fs::read_to_string(directory.join("address")).is_ok_and(|address| address.trim_end() == wanted) {
            let index = fs::read_to_string(directory.join("ifindex"))?;
            return Ok(index.trim_end().parse().ok());
        }
    }
    Ok(None)
}
