//! Interfaces and routes of the current network namespace, by the ioctls of netdevice(7) and rtnetlink's forerunner.

#![allow(unsafe_code)] // ioctl(2) on interface requests.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

const NAME_BYTES: usize = libc::IFNAMSIZ;
const VALUE_BYTES: usize = size_of::<libc::ifreq>() - NAME_BYTES;

/// What the kernel calls `struct ifreq` (linux/if.h): a name, and what the call is about.
#[repr(C)]
struct Request {
    name: [u8; NAME_BYTES],
    value: [u8; VALUE_BYTES],
}

impl Request {
    fn new(name: &str, value: &[u8]) -> io::Result<Self> {
        // One byte stays zero.
        if name.len() >= NAME_BYTES || value.len() > VALUE_BYTES {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let mut request = Self { name: [0; NAME_BYTES], value: [0; VALUE_BYTES] };
        request.name.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
        request.value.iter_mut().zip(value).for_each(|(to, from)| *to = *from);
        Ok(request)
    }
}

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

fn ioctl<T>(control: &OwnedFd, number: libc::Ioctl, argument: &mut T) -> io::Result<()> {
    // SAFETY: each call of this module gives the structure that the request reads and writes (netdevice(7); on sockets of IPv6
    // another one than on those of IPv4), and it outlives the call. None holds a pointer but for a route's null ones.
    Errno::result(unsafe { libc::ioctl(control.as_raw_fd(), number, std::ptr::from_mut(argument)) })?;
    Ok(())
}

/// The same for what is fine when it is there.
fn add<T>(control: &OwnedFd, number: libc::Ioctl, argument: &mut T) -> io::Result<()> {
    match ioctl(control, number, argument) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        added => added,
    }
}

fn address(ip: Ipv4Addr) -> libc::sockaddr {
    let [a, b, c, d] = ip.octets().map(|byte| libc::c_char::from_ne_bytes([byte]));
    let family = libc::sa_family_t::try_from(libc::AF_INET).unwrap_or_default();
    libc::sockaddr { sa_family: family, sa_data: [0, 0, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0] }
}

/// The same in the bytes of a request.
fn address_bytes(ip: Ipv4Addr) -> [u8; 8] {
    let [a, b, c, d] = ip.octets();
    let [low, high] = libc::sa_family_t::try_from(libc::AF_INET).unwrap_or_default().to_ne_bytes();
    [low, high, 0, 0, a, b, c, d]
}

/// Sets IFF_UP. The kernel gives `lo` its addresses then.
pub(crate) fn bring_up(name: &str) -> io::Result<()> {
    let (control, mut flags) = (control()?, Request::new(name, &[])?);
    ioctl(&control, libc::SIOCGIFFLAGS, &mut flags)?;
    // The flags are the first 16 bits, and this one is in the lower half.
    let [up, ..] = libc::IFF_UP.to_ne_bytes();
    let [first, ..] = &mut flags.value;
    *first |= up;
    ioctl(&control, libc::SIOCSIFFLAGS, &mut flags)
}

/// Sets what the interface carries, in bytes.
pub(crate) fn set_mtu(name: &str, bytes: u32) -> io::Result<()> {
    ioctl(&control()?, libc::SIOCSIFMTU, &mut Request::new(name, &bytes.to_ne_bytes())?)
}

/// Gives the interface an address and the route to its network.
pub(crate) fn set_address(name: &str, ip: Ipv4Addr, prefix_length: u8) -> io::Result<()> {
    let control = control()?;
    ioctl(&control, libc::SIOCSIFADDR, &mut Request::new(name, &address_bytes(ip))?)?;
    let bits = u32::MAX.checked_shl(32 - u32::from(prefix_length)).unwrap_or(0);
    let mask = address_bytes(Ipv4Addr::from_bits(bits));
    ioctl(&control, libc::SIOCSIFNETMASK, &mut Request::new(name, &mask)?)
}

/// Adds the route to everywhere else; one that is there stays.
pub(crate) fn add_default_route(gateway: Ipv4Addr) -> io::Result<()> {
    let mut route = libc::rtentry {
        rt_pad1: 0,
        rt_dst: address(Ipv4Addr::UNSPECIFIED),
        rt_gateway: address(gateway),
        rt_genmask: address(Ipv4Addr::UNSPECIFIED),
        rt_flags: libc::RTF_UP | libc::RTF_GATEWAY,
        rt_pad2: 0,
        rt_pad3: 0,
        rt_tos: 0,
        rt_class: 0,
        rt_pad4: [0; 3],
        rt_metric: 0,
        // The interface is found by the gateway.
        rt_dev: std::ptr::null_mut(),
        rt_mtu: 0,
        rt_window: 0,
        rt_irtt: 0,
    };
    add(&control()?, libc::SIOCADDRT, &mut route)
}

/// Gives the interface one more address, of IPv6, and the route to its network.
pub(crate) fn set_address6(name: &str, ip: Ipv6Addr, prefix_length: u8) -> io::Result<()> {
    let index = i32::try_from(nix::net::if_::if_nametoindex(name)?).map_err(io::Error::other)?;
    let mut own = In6Ifreq { address: address6(ip), prefix_length: prefix_length.into(), index };
    ioctl(&control6()?, libc::SIOCSIFADDR, &mut own)
}

/// Adds the route to everywhere else over IPv6; one that is there stays.
pub(crate) fn add_default_route6(gateway: Ipv6Addr) -> io::Result<()> {
    let mut route = In6Rtmsg {
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
    add(&control6()?, libc::SIOCADDRT, &mut route)
}
