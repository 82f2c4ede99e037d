//! personality(2).

#![allow(unsafe_code)] // nix knows flags, not domains.

use nix::Result;
use nix::errno::Errno;

/// Sets the execution domain.
pub(crate) fn set(personality: libc::c_ulong) -> Result<()> {
    // SAFETY: takes an integer.
    Errno::result(unsafe { libc::personality(personality) }).map(drop)
}
