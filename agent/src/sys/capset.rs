//! Capabilities of this thread as bit masks (capset(2), capabilities(7)).

use rustix::io::Result;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, configure_capability_in_ambient_set, set_capabilities,
};

pub(crate) use rustix::thread::clear_ambient_capability_set as clear_ambient;

/// Sets effective, permitted and inheritable capabilities of this thread.
pub(crate) fn set(effective: u64, permitted: u64, inheritable: u64) -> Result<()> {
    let [effective, permitted, inheritable] =
        [effective, permitted, inheritable].map(CapabilitySet::from_bits_retain);
    set_capabilities(None, CapabilitySets { effective, permitted, inheritable })
}

/// Drops one capability from the bounding set; EINVAL when this kernel has none of that number.
pub(crate) fn drop_from_bounding(capability: u8) -> Result<()> {
    rustix::thread::remove_capability_from_bounding_set(only(capability))
}

/// Adds one capability to the ambient set; it must be permitted and inheritable.
pub(crate) fn raise_ambient(capability: u8) -> Result<()> {
    configure_capability_in_ambient_set(only(capability), true)
}

/// Makes everything that is permitted effective again.
pub(crate) fn raise_effective() -> Result<()> {
    let now = capabilities(None)?;
    set_capabilities(None, CapabilitySets { effective: now.permitted, ..now })
}

/// The set of one capability; of none where there can be none of that number.
fn only(capability: u8) -> CapabilitySet {
    CapabilitySet::from_bits_retain(1_u64.checked_shl(capability.into()).unwrap_or_default())
}
