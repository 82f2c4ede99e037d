//! What runs commands in a guest: a container of Holm's, or a VM of QEMU's beside it.

use std::net::IpAddr;

use anyhow::Result;

/// A guest.
pub(crate) trait Shell {
    /// Has the guest's shell run a script, which must succeed; gives its standard output. What the script leaves running must not
    /// keep its standard output.
    fn sh(&self, script: &str) -> Result<String>;

    /// Where the host reaches the guest.
    fn address(&self) -> IpAddr;
}
