//! setdomainname(2).

#![allow(unsafe_code)] // nix has sethostname only.

use nix::Result;
use nix::errno::Errno;

/// Sets the NIS domain name of this UTS namespace.
pub(crate) fn set_domain_name(name: &str) -> Result<()> {
    // SAFETY: pointer and length describe `name`.
    Errno::result(unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) }).map(drop)
}
