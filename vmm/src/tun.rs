//! What a TAP interface is asked by ioctl(2) (Linux `include/uapi/linux/if_tun.h`). Other devices refuse these calls.
#![allow(unsafe_code)] // ioctl(2)

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use nix::errno::Errno;

/// `struct ifreq` (netdevice(7)) with the member that TAPs use.
#[repr(C)]
#[derive(Default)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    flags: libc::c_short,
    rest: [u8; 22],
}

const _: () = assert!(size_of::<Request>() == size_of::<libc::ifreq>());

/// Makes a call that takes a pointer to a `T`.
fn ioctl<T>(tap: BorrowedFd<'_>, call: libc::Ioctl, argument: &mut T) -> io::Result<()> {
    // SAFETY: this module names each call with what it reads or fills: integers and bytes, of which any will do.
    Errno::result(unsafe { libc::ioctl(tap.as_raw_fd(), call, ptr::from_mut(argument)) })?;
    Ok(())
}

/// The flags that it was made with (`IFF_TAP` and the others).
///
/// # Errors
/// It is no such interface.
pub(crate) fn flags(tap: BorrowedFd<'_>) -> io::Result<libc::c_int> {
    let mut request = Request::default();
    ioctl(tap, libc::TUNGETIFF, &mut request)?;
    Ok(request.flags.into())
}

/// How long the header in front of each frame is.
///
/// # Errors
/// The kernel knows no such header.
pub(crate) fn set_header_bytes(tap: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    let mut bytes = libc::c_int::try_from(bytes).map_err(io::Error::other)?;
    ioctl(tap, libc::TUNSETVNETHDRSZ, &mut bytes)
}

/// Which frames may be given that are not finished (`TUN_F_*`).
///
/// # Errors
/// The kernel knows no such frames.
pub(crate) fn set_offloads(tap: BorrowedFd<'_>, offloads: libc::c_uint) -> io::Result<()> {
    // SAFETY: takes its argument by value.
    let set = unsafe { libc::ioctl(tap.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(offloads)) };
    Errno::result(set)?;
    Ok(())
}

/// Whether one of several queues is given frames.
///
/// # Errors
/// It is none of several, or is so already.
pub(crate) fn set_attached(tap: BorrowedFd<'_>, is_attached: bool) -> io::Result<()> {
    let flag = if is_attached { libc::IFF_ATTACH_QUEUE } else { libc::IFF_DETACH_QUEUE };
    let flags = libc::c_short::try_from(flag).map_err(io::Error::other)?;
    ioctl(tap, libc::TUNSETQUEUE, &mut Request { flags, ..Request::default() })
}
