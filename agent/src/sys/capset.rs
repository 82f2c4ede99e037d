//! capset(2) and the prctl(2) operations of capabilities, each in one call on bit masks.

#![allow(unsafe_code)] // Raw system calls.

use nix::Result;
use nix::errno::Errno;

const LINUX_CAPABILITY_VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: libc::c_int,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Sets effective, permitted and inheritable capabilities of this thread.
pub(crate) fn set(effective: u64, permitted: u64, inheritable: u64) -> Result<()> {
    let header = Header { version: LINUX_CAPABILITY_VERSION_3, pid: 0 };
    let half = |shift: u32| Data {
        effective: word(effective, shift),
        permitted: word(permitted, shift),
        inheritable: word(inheritable, shift),
    };
    let data = [half(0), half(32)];
    // SAFETY: version 3 takes a header and two data elements; both outlive the call.
    let done = unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) };
    Errno::result(done).map(drop)
}

/// Drops one capability from the bounding set; EINVAL when this kernel has none of that number.
pub(crate) fn drop_from_bounding(capability: u8) -> Result<()> {
    // SAFETY: takes integers only.
    Errno::result(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(capability), 0, 0, 0) })
        .map(drop)
}

/// Empties the ambient set.
pub(crate) fn clear_ambient() -> Result<()> {
    // SAFETY: takes integers only.
    Errno::result(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) })
        .map(drop)
}

/// Adds one capability to the ambient set; it must be permitted and inheritable.
pub(crate) fn raise_ambient(capability: u8) -> Result<()> {
    // SAFETY: takes integers only.
    Errno::result(unsafe {
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, libc::c_ulong::from(capability), 0, 0)
    })
    .map(drop)
}

/// 32 bits of `mask` from `shift` on.
fn word(mask: u64, shift: u32) -> u32 {
    u32::try_from((mask >> shift) & u64::from(u32::MAX)).unwrap_or_default()
}

/// Makes everything that is permitted effective again.
pub(crate) fn raise_effective() -> Result<()> {
    let header = Header { version: LINUX_CAPABILITY_VERSION_3, pid: 0 };
    let mut data = [Data { effective: 0, permitted: 0, inheritable: 0 }; 2];
    // SAFETY: version 3 fills two data elements.
    Errno::result(unsafe { libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr()) })?;
    for half in &mut data {
        half.effective = half.permitted;
    }
    // SAFETY: as in `set`.
    let done = unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) };
    Errno::result(done).map(drop)
}
