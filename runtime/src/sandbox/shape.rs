//! How large a VM is: derived from the container's limits (M31, M32).

use holm_protocol::vm_config::{MAX_MEMORY_MIB, MIN_MEMORY_MIB};

use crate::container::settings::Settings;

/// Size of a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmShape {
    /// Virtual CPUs.
    pub vcpus: u8,
    /// Guest memory in MiB.
    pub memory_mib: u32,
}

/// Memory of a VM whose container has no limit.
const DEFAULT_MEMORY_MIB: u32 = 512;
/// Virtual CPUs of such a VM.
const DEFAULT_VCPUS: u8 = 1;
/// What the guest needs beside the workload's limit: kernel, agent, page tables of a small guest.
const GUEST_OWN_MIB: u32 = 48;
/// The kernel keeps 64 bytes for each page of 4096: one MiB for 64.
const PAGE_STRUCTS_DIVISOR: u32 = 64;

impl VmShape {
    /// Enough for the limits plus the guest's own need.
    #[must_use]
    pub fn for_settings(settings: &Settings) -> Self {
        let vcpus = settings.cpus.map_or(DEFAULT_VCPUS, |cpus| cpus.vcpus());
        let memory_mib = settings.memory.map_or(DEFAULT_MEMORY_MIB, |limit| {
            let limit_mib = u32::try_from(limit.bytes().div_ceil(1 << 20)).unwrap_or(MAX_MEMORY_MIB);
            let own = GUEST_OWN_MIB + limit_mib.div_ceil(PAGE_STRUCTS_DIVISOR);
            limit_mib.saturating_add(own).clamp(MIN_MEMORY_MIB, MAX_MEMORY_MIB)
        });
        Self { vcpus, memory_mib }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_size_the_vm() {
        let shape = |memory: Option<&str>, cpus: Option<&str>| {
            VmShape::for_settings(&Settings {
                memory: memory.map(|m| m.parse().unwrap()),
                cpus: cpus.map(|c| c.parse().unwrap()),
                ..Settings::default()
            })
        };
        assert_eq!(shape(None, None), VmShape { vcpus: 1, memory_mib: 512 });
        assert_eq!(shape(Some("128m"), Some("2.5")), VmShape { vcpus: 3, memory_mib: 178 });
        assert_eq!(shape(Some("6m"), None).memory_mib, MIN_MEMORY_MIB);
    }
}
