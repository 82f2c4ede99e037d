//! Interfaces and routes of the current network namespace, by the ioctls of netdevice(7) and rtnetlink's forerunner.

#![allow(unsafe_code)] // ioctl(2) on interface requests.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// What the kernel calls `struct in6_ifreq` (linux/ipv6.h).
#[repr(C)]
struct In6Ifreq {
    address: libc::in6_addr,
    prefix_length: u32,
    index: libc::c_int,
}

/// What the kernel calls `struct in6_rtmsg` (linux/ipv6_route.h).
#[repr(C)]
struct In6Rtmsg {
    destination: libc::in6_addr,
    source: libc::in6_addr,
    gateway: libc::in6_addr,
    kind: u32,
    destination_length: u16,
    source_length: u16,
    metric: u32,
    info: libc::c_ulong,
    flags: u32,
    index: libc::c_int,
}

/// The metric that `ip route` gives a route of its own (IP6_RT_PRIO_USER).
const ROUTE_METRIC: u32 = 1024;

fn control() -> io::Result<OwnedFd> {
    Ok(socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?)
}

fn control6() -> io::Result<OwnedFd> {
    Ok(socket(AddressFamily::Inet6, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?)
}

fn address6(ip: Ipv6Addr) -> libc::in6_addr {
    libc::in6_addr { s6_addr: ip.octets() }
}

fn request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: all-zero is a valid ifreq: bytes and integers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    Ok(request)
}

fn ioctl(control: &OwnedFd, number: libc::Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: the calls of this module take a pointer to an ifreq, but for the one that adds routes.
    Errno::result(unsafe { libc::ioctl(control.as_raw_fd(), number, std::ptr::from_mut(request)) })?;
    Ok(())
}

fn address(ip: Ipv4Addr) -> libc::sockaddr {
    let [a, b, c, d] = ip.octets().map(|byte| libc::c_char::from_ne_bytes([byte]));
    let family = libc::sa_family_t::try_from(libc::AF_INET).unwrap_or_default();
    libc::sockaddr { sa_family: family, sa_data: [0, 0, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0] }
}

/// Sets IFF_UP. The kernel gives `lo` its addresses then.
pub(crate) fn bring_up(name: &str) -> io::Result<()> {
    let (control, mut flags) = (control()?, request(name)?);
    ioctl(&control, libc::SIOCGIFFLAGS, &mut flags)?;
    let up = libc::c_short::try_from(libc::IFF_UP).unwrap_or_default();
    // SAFETY: the kernel has just filled in the flags member of the union.
    unsafe { flags.ifr_ifru.ifru_flags |= up };
    ioctl(&control, libc::SIOCSIFFLAGS, &mut flags)
}

/// Sets what the interface carries, in bytes.
pub(crate) fn set_mtu(name: &str, bytes: u32) -> io::Result<()> {
    let mut mtu = request(name)?;
    mtu.ifr_ifru.ifru_mtu = i32::try_from(bytes).map_err(io::Error::other)?;
    ioctl(&control()?, libc::SIOCSIFMTU, &mut mtu)
}

/// Gives the interface an address and the route to its network.
pub(crate) fn set_address(name: &str, ip: Ipv4Addr, prefix_length: u8) -> io::Result<()> {
    let control = control()?;
    let mut own = request(name)?;
    own.ifr_ifru.ifru_addr = address(ip);
    ioctl(&control, libc::SIOCSIFADDR, &mut own)?;
    let mut mask = request(name)?;
    let bits = u32::MAX.checked_shl(32 - u32::from(prefix_length)).unwrap_or(0);
    mask.ifr_ifru.ifru_netmask = address(Ipv4Addr::from_bits(bits));
    ioctl(&control, libc::SIOCSIFNETMASK, &mut mask)
}

/// Adds the route to everywhere else; one that is there stays.
pub(crate) fn add_default_route(gateway: Ipv4Addr) -> io::Result<()> {
    // SAFETY: all-zero is a valid rtentry: integers and null pointers, which mean nothing given.
    let mut route: libc::rtentry = unsafe { std::mem::zeroed() };
    route.rt_dst = address(Ipv4Addr::UNSPECIFIED);
    route.rt_genmask = address(Ipv4Addr::UNSPECIFIED);
    route.rt_gateway = address(gateway);
    route.rt_flags = libc::RTF_UP | libc::RTF_GATEWAY;
    // SAFETY: SIOCADDRT reads an rtentry.
    match Errno::result(unsafe { libc::ioctl(control()?.as_raw_fd(), libc::SIOCADDRT, &raw const route) }) {
        Ok(_) | Err(Errno::EEXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Gives the interface one more address, of IPv6, and the route to its network.
pub(crate) fn set_address6(name: &str, ip: Ipv6Addr, prefix_length: u8) -> io::Result<()> {
    let index = i32::try_from(nix::net::if_::if_nametoindex(name)?).map_err(io::Error::other)?;
    let own = In6Ifreq { address: address6(ip), prefix_length: prefix_length.into(), index };
    // SAFETY: on a socket of IPv6, SIOCSIFADDR reads an in6_ifreq.
    Errno::result(unsafe { libc::ioctl(control6()?.as_raw_fd(), libc::SIOCSIFADDR, &raw const own) })?;
    Ok(())
}

/// Adds the route to everywhere else over IPv6; one that is there stays.
pub(crate) fn add_default_route6(gateway: Ipv6Addr) -> io::Result<()> {
    let route = In6Rtmsg {
        destination: address6(Ipv6Addr::UNSPECIFIED),
        source: address6(Ipv6Addr::UNSPECIFIED),
        gateway: address6(gateway),
        kind: 0,
        destination_length: 0,
        source_length: 0,
        metric: ROUTE_METRIC,
        info: 0,
        flags: u32::from(libc::RTF_UP | libc::RTF_GATEWAY),
        // The interface is found by the gateway.
        index: 0,
    };
    // SAFETY: on a socket of IPv6, SIOCADDRT reads an in6_rtmsg.
    match Errno::result(unsafe { libc::ioctl(control6()?.as_raw_fd(), libc::SIOCADDRT, &raw const route) }) {
        Ok(_) | Err(Errno::EEXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
