//! The five capability sets of a process (config.md "Linux Process", capabilities(7)).

use std::str::FromStr;

use caps::Capability;
use rustix::io::Errno;

use crate::fault::Fault;
use crate::oci;
use crate::sys::capset;

/// Highest number tried when dropping; the kernel says which one was the last.
const MAX_CAPABILITY: u8 = 63;

/// Bit masks of the five sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CapabilitySets {
    bounding: u64,
    effective: u64,
    inheritable: u64,
    permitted: u64,
    ambient: u64,
}

impl CapabilitySets {
    /// Understands the names. Those that are unknown are left out with a warning, as runc does: a newer host may list
    /// capabilities that this kernel does not have, and not having one is the safe side.
    pub(crate) fn new(capabilities: &oci::Capabilities) -> Result<Self, Fault> {
        let sets = Self {
            bounding: mask(&capabilities.bounding),
            effective: mask(&capabilities.effective),
            inheritable: mask(&capabilities.inheritable),
            permitted: mask(&capabilities.permitted),
            ambient: mask(&capabilities.ambient),
        };
        if sets.effective & !sets.permitted != 0 {
            return Err(Fault::invalid("effective capabilities must be permitted ones"));
        }
        if sets.ambient & !(sets.permitted & sets.inheritable) != 0 {
            return Err(Fault::invalid("ambient capabilities must be permitted and inheritable ones"));
        }
        Ok(sets)
    }

    /// Shrinks the bounding set. Needs CAP_SETPCAP, so it comes before the change of user.
    pub(crate) fn limit_bounding(&self) -> rustix::io::Result<()> {
        for capability in 0..=MAX_CAPABILITY {
            if self.bounding >> capability & 1 == 0 {
                match capset::drop_from_bounding(capability) {
                    Err(Errno::INVAL) => break,
                    result => result?,
                }
            }
        }
        Ok(())
    }

    /// Sets the other four. The last step before execve that needs any privilege.
    pub(crate) fn apply(&self) -> rustix::io::Result<()> {
        capset::clear_ambient()?;
        capset::set(self.effective, self.permitted, self.inheritable)?;
        for capability in 0..=MAX_CAPABILITY {
            if self.ambient >> capability & 1 == 1 {
                capset::raise_ambient(capability)?;
            }
        }
        Ok(())
    }
}

fn mask(names: &[String]) -> u64 {
    let known = |name: &String| {
        Capability::from_str(name)
            .inspect_err(|_| tracing::warn!("capability {name:?} is not known and left out"))
            .ok()
    };
    names.iter().filter_map(known).fold(0, |mask, capability| mask | capability.bitmask())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(json: &str) -> Result<CapabilitySets, Fault> {
        CapabilitySets::new(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn names_become_the_kernels_bits() {
        let some =
            sets(r#"{"bounding": ["CAP_CHOWN", "CAP_CHECKPOINT_RESTORE"], "permitted": ["CAP_NET_RAW"]}"#);
        assert_eq!(
            some.unwrap(),
            CapabilitySets { bounding: 1 | 1 << 40, permitted: 1 << 13, ..Default::default() }
        );
        assert_eq!(sets("{}").unwrap(), CapabilitySets::default());
        assert_eq!(sets(r#"{"bounding": ["CAP_TIME_TRAVEL"]}"#).unwrap(), CapabilitySets::default());
    }

    #[test]
    fn impossible_sets_are_refused() {
        assert!(sets(r#"{"effective": ["CAP_CHOWN"]}"#).is_err());
        assert!(sets(r#"{"permitted": ["CAP_CHOWN"], "ambient": ["CAP_CHOWN"]}"#).is_err());
    }
}
