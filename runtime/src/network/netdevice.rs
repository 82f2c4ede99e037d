//! The host's interfaces: bridges and TAPs, by the ioctls of netdevice(7).
//!
//! A handful of calls; a netlink library would be larger than all of this module.
#![allow(unsafe_code)] // ioctl(2) on interface requests

use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::error::NetworkError;
use super::mac_address::MacAddress;
use super::mtu::Mtu;
use super::record::{Network, NetworkIpv6};

fn failed(action: impl Into<String>) -> impl FnOnce(io::Error) -> NetworkError {
    let action = action.into();
    move |source| {
        // What the kernel says to those who may not.
        let kind = source.kind();
        let source = match source.raw_os_error() {
            Some(libc_eperm) if libc_eperm == nix::errno::Errno::EPERM as i32 => {
                io::Error::new(io::ErrorKind::PermissionDenied, source)
            }
            _ if kind == io::ErrorKind::PermissionDenied => io::Error::new(kind, source),
            _ => source,
        };
        NetworkError::Device { action, source }
    }
}

/// `struct ifreq` (netdevice(7)): the name of an interface, and what is asked of it or told about it, at the front of `value`.
#[repr(C)]
struct Request {
    name: [u8; nix::libc::IFNAMSIZ],
    value: [u8; 24],
}

const _: () = assert!(size_of::<Request>() == size_of::<nix::libc::ifreq>());

impl Request {
    /// One with this name.
    fn new(name: &str) -> io::Result<Self> {
        let mut request = Self { name: [0; nix::libc::IFNAMSIZ], value: [0; 24] };
        // One byte stays zero.
        if name.is_empty() || name.len() >= request.name.len() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        request.name[..name.len()].copy_from_slice(name.as_bytes());
        Ok(request)
    }

    /// With this value: an integer in the host's order, or an address.
    fn with<const BYTES: usize>(name: &str, value: [u8; BYTES]) -> io::Result<Self> {
        let mut request = Self::new(name)?;
        request.value[..BYTES].copy_from_slice(&value);
        Ok(request)
    }

    fn flags(&self) -> i16 {
        i16::from_ne_bytes([self.value[0], self.value[1]])
    }

    fn number(&self) -> i32 {
        i32::from_ne_bytes([self.value[0], self.value[1], self.value[2], self.value[3]])
    }
}

fn control() -> io::Result<OwnedFd> {
    Ok(socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?)
}

/// Makes a call that takes a pointer to a `T`.
fn ioctl<T>(fd: &impl AsRawFd, number: nix::libc::Ioctl, request: &mut T) -> io::Result<()> {
    // SAFETY: this module names each call with what it reads or fills: a `Request`, or an `In6Ifreq` on a socket of IPv6. Both are
    // integers and bytes, of which any will do.
    Errno::result(unsafe { nix::libc::ioctl(fd.as_raw_fd(), number, ptr::from_mut(request)) })?;
    Ok(())
}

/// `SIOCBRADDBR` and its like take a name or an ifreq (linux/sockios.h).
const SIOCBRADDBR: nix::libc::Ioctl = 0x89a0;
const SIOCBRDELBR: nix::libc::Ioctl = 0x89a1;
const SIOCBRADDIF: nix::libc::Ioctl = 0x89a2;

#[allow(clippy::cast_possible_truncation)] // the first of them
const UP: i16 = nix::libc::IFF_UP as i16;

/// A `struct sockaddr` with this family.
fn address<const BYTES: usize>(family: u16, bytes: [u8; BYTES]) -> [u8; 16] {
    let mut address = [0; 16];
    address[..2].copy_from_slice(&family.to_ne_bytes());
    address[2..2 + BYTES].copy_from_slice(&bytes);
    address
}

fn ip_address(ip: Ipv4Addr) -> [u8; 16] {
    let [a, b, c, d] = ip.octets();
    // Behind a port.
    let family = u16::try_from(nix::libc::AF_INET).unwrap_or_default();
    address(family, [0, 0, a, b, c, d])
}

fn set_flags(control: &OwnedFd, name: &str, change: impl FnOnce(i16) -> i16) -> io::Result<()> {
    let mut asked = Request::new(name)?;
    ioctl(control, nix::libc::SIOCGIFFLAGS, &mut asked)?;
    let flags = change(asked.flags());
    ioctl(control, nix::libc::SIOCSIFFLAGS, &mut Request::with(name, flags.to_ne_bytes())?)
}

fn bring_up(control: &OwnedFd, name: &str) -> io::Result<()> {
    set_flags(control, name, |flags| flags | UP)
}

fn bring_down(control: &OwnedFd, name: &str) -> io::Result<()> {
    set_flags(control, name, |flags| flags & !UP)
}

/// Whether there is an interface of this name.
pub(super) fn exists(name: &str) -> bool {
    Path::new("/sys/class/net").join(name).exists()
}

/// Makes a network's bridge with the host's addresses, up, on which the host routes; fine when it is there.
pub(super) fn ensure_bridge(network: &Network) -> Result<(), NetworkError> {
    let name = &network.bridge;
    if exists(name) {
        return Ok(());
    }
    let made = make_bridge(network).map_err(failed(format!("make the bridge {name}")));
    if made.is_err() {
        // The first failure is the one to tell.
        let _ = remove_bridge(name);
    }
    made
}

fn make_bridge(network: &Network) -> io::Result<()> {
    let (name, gateway) = (&network.bridge, network.gateway());
    let control = control()?;
    holm_faults::fault!("network.bridge.make")?;
    ioctl(&control, SIOCBRADDBR, &mut Request::new(name)?)?;
    holm_faults::fault!("network.bridge.configure")?;
    // A bridge without one of its own takes that of one of its members, and another when that one leaves: containers would
    // then send to an address that is nobody's, until their ARP entries expire.
    let own = address(nix::libc::ARPHRD_ETHER, MacAddress::of_ip(gateway).bytes());
    ioctl(&control, nix::libc::SIOCSIFHWADDR, &mut Request::with(name, own)?)?;
    if network.ipv6.is_none() {
        // A router advertisement from a container would be taken for real.
        set_sysctl(&format!("ipv6/conf/{name}/disable_ipv6"), "1").or_else(absent_is_fine)?;
    }
    ioctl(&control, nix::libc::SIOCSIFADDR, &mut Request::with(name, ip_address(gateway))?)?;
    let mask = ip_address(network.subnet.mask());
    ioctl(&control, nix::libc::SIOCSIFNETMASK, &mut Request::with(name, mask)?)?;
    // For published ports from the host's own loopback addresses; the rules keep containers away from them.
    set_sysctl(&format!("ipv4/conf/{name}/route_localnet"), "1")?;
    set_sysctl("ipv4/ip_forward", "1")?;
    holm_faults::fault!("network.bridge.up")?;
    bring_up(&control, name)?;
    network.ipv6.map_or(Ok(()), |ipv6| give_ipv6(name, ipv6))
}

/// What the kernel calls `struct in6_ifreq` (linux/ipv6.h).
#[repr(C)]
struct In6Ifreq {
    address: nix::libc::in6_addr,
    prefix_length: u32,
    index: nix::libc::c_int,
}

/// Gives an interface the host's address of a network, and routes between it and others.
fn give_ipv6(name: &str, ipv6: NetworkIpv6) -> io::Result<()> {
    // Nobody there is a router but the host, and nobody else has its address: the rules see to it.
    for (setting, value) in [("disable_ipv6", "0"), ("accept_ra", "0"), ("accept_dad", "0")] {
        set_sysctl(&format!("ipv6/conf/{name}/{setting}"), value)?;
    }
    let control = socket(AddressFamily::Inet6, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let mut own = In6Ifreq {
        address: nix::libc::in6_addr { s6_addr: ipv6.gateway.octets() },
        prefix_length: ipv6.subnet.prefix_length().into(),
        index: i32::try_from(nix::net::if_::if_nametoindex(name)?).map_err(io::Error::other)?,
    };
    ioctl(&control, nix::libc::SIOCSIFADDR, &mut own)?;
    forward_ipv6()
}

/// Has the host forward IPv6. Interfaces on which it learns its own routes from a router go on doing so: by itself the kernel would
/// take the host for a router then, and drop them.
fn forward_ipv6() -> io::Result<()> {
    const FORWARDING: &str = "ipv6/conf/all/forwarding";
    let settings = Path::new("/proc/sys/net/ipv6/conf");
    if fs::read_to_string("/proc/sys/net/ipv6/conf/all/forwarding").is_ok_and(|now| now.trim_end() == "1") {
        return Ok(());
    }
    for entry in fs::read_dir(settings)?.flatten() {
        let accept = entry.path().join("accept_ra");
        // One that is just going away learns nothing any more.
        if fs::read_to_string(&accept).is_ok_and(|now| now.trim_end() == "1") {
            let _ = fs::write(accept, "2");
        }
    }
    set_sysctl(FORWARDING, "1")
}

/// Hosts without IPv6 have no setting for it.
fn absent_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn set_sysctl(name: &str, value: &str) -> io::Result<()> {
    let path = Path::new("/proc/sys/net").join(name);
    // Where it is so already, nobody needs the right to write.
    if fs::read_to_string(&path).is_ok_and(|now| now.trim_end() == value) {
        return Ok(());
    }
    fs::write(path, value)
}

/// Removes a bridge; fine when it is not there.
pub(super) fn remove_bridge(name: &str) -> Result<(), NetworkError> {
    if !exists(name) {
        return Ok(());
    }
    let remove = || {
        let control = control()?;
        holm_faults::fault!("network.bridge.remove")?;
        bring_down(&control, name)?;
        ioctl(&control, SIOCBRDELBR, &mut Request::new(name)?)
    };
    remove().map_err(failed(format!("remove the bridge {name}")))
}

/// Makes a TAP interface of one queue or several that lives as long as one of their descriptors is open somewhere. It is not up and
/// on no bridge.
pub(super) fn make_tap(name: &str, queues: usize) -> Result<Vec<OwnedFd>, NetworkError> {
    let made = (0..queues).map(|_| add_queue(name, queues > 1)).collect::<Result<Vec<_>, _>>()?;
    let configure = || {
        holm_faults::fault!("network.tap.configure")?;
        set_sysctl(&format!("ipv6/conf/{name}/disable_ipv6"), "1").or_else(absent_is_fine)
    };
    configure().map(|()| made).map_err(failed("make a TAP interface"))
}

/// A queue of a TAP interface, which does not block; the first makes it.
fn add_queue(tap: &str, is_one_of_several: bool) -> Result<OwnedFd, NetworkError> {
    let tun = File::options().read(true).write(true).custom_flags(nix::libc::O_NONBLOCK).open("/dev/net/tun");
    let tun = tun.map_err(failed("open /dev/net/tun (modprobe tun makes it)"))?;
    let several = if is_one_of_several { nix::libc::IFF_MULTI_QUEUE } else { 0 };
    let flags = nix::libc::IFF_TAP | nix::libc::IFF_NO_PI | nix::libc::IFF_VNET_HDR | several;
    let make = || {
        let flags = i16::try_from(flags).map_err(io::Error::other)?;
        holm_faults::fault!("network.tap.make")?;
        ioctl(&tun, nix::libc::TUNSETIFF, &mut Request::with(tap, flags.to_ne_bytes())?)
    };
    make().map_err(failed("make a TAP interface"))?;
    Ok(tun.into())
}

/// What an interface carries, in bytes.
pub(super) fn mtu(name: &str) -> Result<u16, NetworkError> {
    let read = || {
        let mut asked = Request::new(name)?;
        ioctl(&control()?, nix::libc::SIOCGIFMTU, &mut asked)?;
        u16::try_from(asked.number()).or(Ok(u16::MAX))
    };
    read().map_err(failed(format!("read the MTU of {name}")))
}

fn set_mtu(control: &OwnedFd, name: &str, mtu_bytes: u16) -> io::Result<()> {
    let mtu = i32::from(mtu_bytes).to_ne_bytes();
    ioctl(control, nix::libc::SIOCSIFMTU, &mut Request::with(name, mtu)?)
}

/// Brings an interface up that carries this much.
pub(super) fn bring_up_with_mtu(name: &str, mtu_bytes: u16) -> Result<(), NetworkError> {
    let set = || {
        let control = control()?;
        set_mtu(&control, name, mtu_bytes)?;
        bring_up(&control, name)
    };
    set().map_err(failed(format!("bring {name} up")))
}

/// Puts an interface on a bridge and brings it up. The bridge carries what the one that carries the least does.
pub(super) fn join_bridge(bridge: &str, interface: &str, mtu: Option<Mtu>) -> Result<(), NetworkError> {
    let join = || {
        let control = control()?;
        mtu.map_or(Ok(()), |mtu| set_mtu(&control, interface, mtu.bytes()))?;
        let index = nix::net::if_::if_nametoindex(interface)?;
        holm_faults::fault!("network.tap.join")?;
        ioctl(&control, SIOCBRADDIF, &mut Request::with(bridge, index.to_ne_bytes())?)?;
        holm_faults::fault!("network.tap.up")?;
        bring_up(&control, interface)
    };
    join().map_err(failed(format!("put {interface} on the bridge {bridge}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_too_long_are_refused() {
        assert!(Request::new("123456789012345").is_ok());
        assert!(Request::new("1234567890123456").is_err() && Request::new("").is_err());
    }

    #[test]
    fn addresses_are_behind_their_family() {
        assert_eq!(
            ip_address(Ipv4Addr::new(10, 88, 0, 1)),
            [2, 0, 0, 0, 10, 88, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
        );
    }

    #[test]
    fn the_loopback_interface_tells_of_itself() {
        assert!(mtu("lo").unwrap() > 1000);
        let mut asked = Request::new("lo").unwrap();
        ioctl(&control().unwrap(), nix::libc::SIOCGIFFLAGS, &mut asked).unwrap();
        assert_ne!(i32::from(asked.flags()) & nix::libc::IFF_LOOPBACK, 0);
    }
}
