//! Interfaces and routes of the current network namespace, by the ioctls of netdevice(7) and rtnetlink's forerunner.

#![allow(unsafe_code)] // ioctl(2) on interface requests.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

fn control() -> io::Result<OwnedFd> {
    Ok(socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?)
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
