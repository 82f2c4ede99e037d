//! A network to a VM of QEMU's as Holm makes one to a container: a TAP with one queue on a bridge that has the host's address.

use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::Result;

use crate::containers::succeed;

const BRIDGE: &str = "bench-bridge";
/// The interface that QEMU opens.
pub(crate) const TAP: &str = "bench-tap";
/// Of the network that is set aside for benchmarks (RFC 2544), so nobody's.
const HOST: &str = "198.18.211.1/30";
/// The guest's address with its prefix.
pub(crate) const GUEST: &str = "198.18.211.2/30";
/// The guest's address.
pub(crate) const GUEST_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 211, 2);

/// The bridge and the TAP; removed with the value.
#[derive(Debug)]
pub(crate) struct Wire;

impl Wire {
    /// Makes them, in place of what a benchmark that was killed may have left.
    pub(crate) fn new() -> Result<Self> {
        drop(Self);
        // Removed from here on, whatever happens.
        let wire = Self;
        ip(&["link", "add", BRIDGE, "type", "bridge"])?;
        ip(&["addr", "add", HOST, "dev", BRIDGE])?;
        ip(&["tuntap", "add", "dev", TAP, "mode", "tap", "vnet_hdr"])?;
        ip(&["link", "set", TAP, "master", BRIDGE, "up"])?;
        ip(&["link", "set", BRIDGE, "up"])?;
        Ok(wire)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for name in [TAP, BRIDGE] {
            // What is not there need not be removed.
            let _ = ip(&["link", "delete", name]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<String> {
    succeed(Command::new("ip").args(arguments))
}
