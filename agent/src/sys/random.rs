//! The kernel's random number generator (random(4)).

#![allow(unsafe_code)] // nix does not have its ioctls.

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::Result;
use nix::errno::Errno;

nix::ioctl_write_ptr_bad!(add_entropy, nix::request_code_write!(b'R', 3, 2 * size_of::<libc::c_int>()), Pool);
nix::ioctl_none_bad!(reseed_now, nix::request_code_none!(b'R', 7));

/// Most bytes that one call takes.
const MAX_BYTES: usize = 64;

/// `struct rand_pool_info`.
#[repr(C)]
struct Pool {
    entropy_bits: libc::c_int,
    length_bytes: libc::c_int,
    bytes: [u8; MAX_BYTES],
}

/// Stirs in up to 64 bytes that are as random as they are many, and has every number from now on depend on them.
pub(crate) fn reseed(entropy: &[u8]) -> Result<()> {
    let entropy = entropy.get(..MAX_BYTES).unwrap_or(entropy);
    let length = libc::c_int::try_from(entropy.len()).map_err(|_| Errno::EINVAL)?;
    let mut pool = Pool { entropy_bits: length * 8, length_bytes: length, bytes: [0; MAX_BYTES] };
    pool.bytes.iter_mut().zip(entropy).for_each(|(to, from)| *to = *from);
    let random = File::options()
        .write(true)
        .open("/dev/urandom")
        .map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
    // SAFETY: the kernel reads the two lengths and as many bytes as the second says, all of them in `pool`.
    unsafe { add_entropy(random.as_raw_fd(), &raw const pool) }?;
    // SAFETY: takes no argument.
    unsafe { reseed_now(random.as_raw_fd()) }.map(drop)
}
