//! The host's interfaces: bridges and TAPs, by the ioctls of netdevice(7).
//!
//! A handful of calls; a netlink library would be larger than all of this module.
#![allow(unsafe_code)] // ioctl(2) on interface requests

use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::error::NetworkError;
use super::mac_address::MacAddress;
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

/// An interface request with this name.
fn request(name: &str) -> io::Result<nix::libc::ifreq> {
    // SAFETY: all-zero is a valid ifreq: bytes and integers.
    let mut request: nix::libc::ifreq = unsafe { std::mem::zeroed() };
    // One byte stays zero.
    if name.is_empty() || name.len() >= request.ifr_name.len() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = nix::libc::c_char::from_ne_bytes([from]);
    }
    Ok(request)
}

fn control() -> io::Result<OwnedFd> {
    Ok(socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?)
}

fn ioctl(fd: &impl AsRawFd, number: nix::libc::Ioctl, request: &mut nix::libc::ifreq) -> io::Result<()> {
    // SAFETY: the calls of this module all take a pointer to an ifreq.
    let result = unsafe { nix::libc::ioctl(fd.as_raw_fd(), number, std::ptr::from_mut(request)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// `SIOCBRADDBR` and its like take a name or an ifreq (linux/sockios.h).
const SIOCBRADDBR: nix::libc::Ioctl = 0x89a0;
const SIOCBRDELBR: nix::libc::Ioctl = 0x89a1;
const SIOCBRADDIF: nix::libc::Ioctl = 0x89a2;

fn address(ip: Ipv4Addr) -> nix::libc::sockaddr {
    let [a, b, c, d] = ip.octets().map(|byte| nix::libc::c_char::from_ne_bytes([byte]));
    nix::libc::sockaddr {
        sa_family: nix::libc::sa_family_t::try_from(nix::libc::AF_INET).unwrap_or_default(),
        sa_data: [0, 0, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0],
    }
}

fn bring_up(control: &OwnedFd, name: &str) -> io::Result<()> {
    let mut up = request(name)?;
    ioctl(control, nix::libc::SIOCGIFFLAGS, &mut up)?;
    let flag = nix::libc::c_short::try_from(nix::libc::IFF_UP).unwrap_or_default();
    // SAFETY: SIOCGIFFLAGS has just filled in the flags member of the union.
    unsafe { up.ifr_ifru.ifru_flags |= flag };
    ioctl(control, nix::libc::SIOCSIFFLAGS, &mut up)
}

fn bring_down(control: &OwnedFd, name: &str) -> io::Result<()> {
    let mut down = request(name)?;
    ioctl(control, nix::libc::SIOCGIFFLAGS, &mut down)?;
    let flag = nix::libc::c_short::try_from(nix::libc::IFF_UP).unwrap_or_default();
    // SAFETY: SIOCGIFFLAGS has just filled in the flags member of the union.
    unsafe { down.ifr_ifru.ifru_flags &= !flag };
    ioctl(control, nix::libc::SIOCSIFFLAGS, &mut down)
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
    ioctl(&control, SIOCBRADDBR, &mut request(name)?)?;
    holm_faults::fault!("network.bridge.configure")?;
    // A bridge without one of its own takes that of one of its members, and another when that one leaves: containers would
    // then send to an address that is nobody's, until their ARP entries expire.
    let mut own = request(name)?;
    own.ifr_ifru.ifru_hwaddr = hardware_address(MacAddress::of_ip(gateway));
    ioctl(&control, nix::libc::SIOCSIFHWADDR, &mut own)?;
    if network.ipv6.is_none() {
        // A router advertisement from a container would be taken for real.
        set_sysctl(&format!("ipv6/conf/{name}/disable_ipv6"), "1").or_else(absent_is_fine)?;
    }
    let mut own = request(name)?;
    own.ifr_ifru.ifru_addr = address(gateway);
    ioctl(&control, nix::libc::SIOCSIFADDR, &mut own)?;
    let mut mask = request(name)?;
    mask.ifr_ifru.ifru_netmask = address(network.subnet.mask());
    ioctl(&control, nix::libc::SIOCSIFNETMASK, &mut mask)?;
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
    let own = In6Ifreq {
        address: nix::libc::in6_addr { s6_addr: ipv6.gateway.octets() },
        prefix_length: ipv6.subnet.prefix_length().into(),
        index: i32::try_from(nix::net::if_::if_nametoindex(name)?).map_err(io::Error::other)?,
    };
    // SAFETY: on a socket of IPv6, SIOCSIFADDR reads an in6_ifreq.
    let result = unsafe { nix::libc::ioctl(control.as_raw_fd(), nix::libc::SIOCSIFADDR, &raw const own) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
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

fn hardware_address(mac: MacAddress) -> nix::libc::sockaddr {
    let mut sa_data = [0; 14];
    sa_data.iter_mut().zip(mac.bytes()).for_each(|(to, from)| *to = from.cast_signed());
    nix::libc::sockaddr { sa_family: nix::libc::ARPHRD_ETHER, sa_data }
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
        ioctl(&control, SIOCBRDELBR, &mut request(name)?)
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

/// A queue of a TAP interface; the first makes it.
fn add_queue(tap: &str, is_one_of_several: bool) -> Result<OwnedFd, NetworkError> {
    let tun = File::options().read(true).write(true).open("/dev/net/tun");
    let tun = tun.map_err(failed("open /dev/net/tun (modprobe tun makes it)"))?;
    let several = if is_one_of_several { nix::libc::IFF_MULTI_QUEUE } else { 0 };
    let flags = nix::libc::IFF_TAP | nix::libc::IFF_NO_PI | nix::libc::IFF_VNET_HDR | several;
    let make = || {
        let mut tap = request(tap)?;
        tap.ifr_ifru.ifru_flags = nix::libc::c_short::try_from(flags).unwrap_or_default();
        holm_faults::fault!("network.tap.make")?;
        ioctl(&tun, nix::libc::TUNSETIFF, &mut tap)
    };
    make().map_err(failed("make a TAP interface"))?;
    Ok(tun.into())
}

/// What an interface carries, in bytes.
pub(super) fn mtu(name: &str) -> Result<u16, NetworkError> {
    let read = || {
        let mut asked = request(name)?;
        ioctl(&control()?, nix::libc::SIOCGIFMTU, &mut asked)?;
        // SAFETY: SIOCGIFMTU has just filled in this member of the union.
        u16::try_from(unsafe { asked.ifr_ifru.ifru_mtu }).or(Ok(u16::MAX))
    };
    read().map_err(failed(format!("read the MTU of {name}")))
}

/// Brings an interface up that carries this much.
pub(super) fn bring_up_with_mtu(name: &str, mtu_bytes: u16) -> Result<(), NetworkError> {
    let set = || {
        let control = control()?;
        let mut mtu = request(name)?;
        mtu.ifr_ifru.ifru_mtu = mtu_bytes.into();
        ioctl(&control, nix::libc::SIOCSIFMTU, &mut mtu)?;
        bring_up(&control, name)
    };
    set().map_err(failed(format!("bring {name} up")))
}

/// Puts an interface on a bridge and brings it up.
pub(super) fn join_bridge(bridge: &str, interface: &str) -> Result<(), NetworkError> {
    let join = || {
        let control = control()?;
        let mut member = request(bridge)?;
        let index = nix::net::if_::if_nametoindex(interface)?;
        member.ifr_ifru.ifru_ifindex = i32::try_from(index).map_err(io::Error::other)?;
        holm_faults::fault!("network.tap.join")?;
        ioctl(&control, SIOCBRADDIF, &mut member)?;
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
        assert!(request("123456789012345").is_ok());
        assert!(request("1234567890123456").is_err() && request("").is_err());
    }
}
