//! How large a VM is: derived from the container's limits (M31, M32).

use holm_protocol::vm_config::{MAX_MEMORY_MIB, MAX_QUEUE_PAIRS, MAX_VCPUS, MIN_MEMORY_MIB};
use holm_protocol::vm_memory::MEMORY_BLOCK_MIB;
use oci_spec::runtime::LinuxResources;
use serde::{Deserialize, Serialize};

use crate::container::settings::Settings;

/// Size of a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
/// The kernel's period for CPU time, in microseconds.
const DEFAULT_PERIOD_US: u64 = 100_000;
/// With what VMs of many sizes boot when they are to be templates: the others' memory comes later. The larger one is the smallest
/// whose kernel has transparent huge pages.
const BOOT_MEMORY_MIB: [u32; 2] = [128, 640];
/// What the guest needs beside the workload's limit: kernel, agent, page tables of a small guest.
const GUEST_OWN_MIB: u32 = 48;
/// The kernel keeps 64 bytes for each page of 4096: one MiB for 64.
const PAGE_STRUCTS_DIVISOR: u32 = 64;

impl VmShape {
    /// Enough for the limits plus the guest's own need.
    #[must_use]
    pub fn for_settings(settings: &Settings) -> Self {
        let limits = &settings.limits;
        // More virtual CPUs than processors to run on would only wait for each other.
        let processors = limits.cpuset_cpus.as_ref().map(|list| list.cpus().len());
        let processors = processors.map(|count| u8::try_from(count).unwrap_or(MAX_VCPUS).min(MAX_VCPUS));
        let wanted = limits.vcpus();
        let vcpus = match (wanted, processors) {
            (Some(wanted), Some(processors)) => wanted.min(processors),
            (one, other) => one.or(other).unwrap_or(DEFAULT_VCPUS),
        };
        let vcpus = vcpus.max(settings.vm_cpus.unwrap_or(0));
        let asked_mib = settings.vm_memory.map(|size| whole_mib(size.bytes()));
        let needed_mib = limits.memory.map(|limit| needed_mib(limit.bytes()));
        Self { vcpus, memory_mib: memory_mib(asked_mib.max(needed_mib)) }
    }

    /// Enough for the limits of an OCI spec. Those that are none (negative) and those that make no sense count as none.
    #[must_use]
    pub fn for_resources(resources: Option<&LinuxResources>) -> Self {
        let limit = Self::memory_limit(resources);
        let cpu = resources.and_then(|resources| resources.cpu().as_ref());
        let quota = cpu.and_then(|cpu| u64::try_from(cpu.quota()?).ok()).filter(|quota| *quota > 0);
        let period = cpu.and_then(oci_spec::runtime::LinuxCpu::period).filter(|period| *period > 0);
        let vcpus = quota.map_or(DEFAULT_VCPUS, |quota| {
            u8::try_from(quota.div_ceil(period.unwrap_or(DEFAULT_PERIOD_US))).unwrap_or(MAX_VCPUS)
        });
        Self { vcpus: vcpus.min(MAX_VCPUS), memory_mib: memory_mib(limit.map(needed_mib)) }
    }

    /// For a pod, before any container of it has come: as many virtual CPUs as the host has, and memory to begin with. What each
    /// container may use is its cgroup's to say.
    #[must_use]
    pub fn for_pod() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let vcpus = u8::try_from(processors).unwrap_or(MAX_VCPUS).min(MAX_VCPUS);
        let [.., memory_mib] = BOOT_MEMORY_MIB;
        Self { vcpus, memory_mib }
    }

    /// The memory of a pod whose containers have these limits in bytes, if they have some, in MiB.
    #[must_use]
    pub fn pod_memory_mib(limits: impl IntoIterator<Item = Option<u64>>) -> u32 {
        let default = u64::from(DEFAULT_MEMORY_MIB - GUEST_OWN_MIB) << 20;
        let sum = limits.into_iter().map(|limit| limit.unwrap_or(default)).fold(0, u64::saturating_add);
        needed_mib(sum).clamp(Self::for_pod().memory_mib, MAX_MEMORY_MIB)
    }

    /// The most that a pod's memory grows to: the host's, in MiB and whole blocks.
    #[must_use]
    pub fn largest_pod_mib() -> u32 {
        let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let total_kib = info
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok());
        let total_mib = u32::try_from(total_kib.unwrap_or_default() >> 10).unwrap_or(MAX_MEMORY_MIB);
        let whole_mib = total_mib / MEMORY_BLOCK_MIB * MEMORY_BLOCK_MIB;
        whole_mib.clamp(Self::for_pod().memory_mib, MAX_MEMORY_MIB)
    }

    /// The memory limit of an OCI spec in bytes, if there is one.
    #[must_use]
    pub fn memory_limit(resources: Option<&LinuxResources>) -> Option<u64> {
        let memory = resources.and_then(|resources| resources.memory().as_ref()?.limit());
        memory.and_then(|limit| u64::try_from(limit).ok()).filter(|limit| *limit > 0)
    }

    /// Queues of each of its networks: one for each virtual CPU, as far as there are.
    #[must_use]
    pub fn network_queues(self) -> usize {
        usize::from(self.vcpus).clamp(1, MAX_QUEUE_PAIRS)
    }

    /// The VM that boots, or is in a template, when one of this size is wanted; memory that it lacks is added to it.
    #[must_use]
    pub fn booted(self) -> Self {
        let grows_to = |boot_mib: &u32| *boot_mib <= self.memory_mib && self.memory_mib != DEFAULT_MEMORY_MIB;
        let is_whole = self.memory_mib.is_multiple_of(MEMORY_BLOCK_MIB);
        let boot_mib = BOOT_MEMORY_MIB.into_iter().rfind(grows_to).filter(|_| is_whole);
        Self { memory_mib: boot_mib.unwrap_or(self.memory_mib), ..self }
    }
}

/// What a VM needs so that its workload can have this much.
fn needed_mib(limit_bytes: u64) -> u32 {
    let limit_mib = whole_mib(limit_bytes);
    let own = GUEST_OWN_MIB + limit_mib.div_ceil(PAGE_STRUCTS_DIVISOR);
    rounded(limit_mib.saturating_add(own))
}

fn memory_mib(wanted_mib: Option<u32>) -> u32 {
    wanted_mib.unwrap_or(DEFAULT_MEMORY_MIB).clamp(MIN_MEMORY_MIB, MAX_MEMORY_MIB)
}

/// The next of a few sizes, which are whole blocks: the workload's limit holds in the guest.
fn rounded(memory_mib: u32) -> u32 {
    let step_mib = match memory_mib {
        0..MEMORY_BLOCK_MIB => MIN_MEMORY_MIB,
        MEMORY_BLOCK_MIB..=1024 => MEMORY_BLOCK_MIB,
        1025..=8192 => 256,
        _ => 1024,
    };
    memory_mib.checked_next_multiple_of(step_mib).unwrap_or(MAX_MEMORY_MIB)
}

fn whole_mib(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1 << 20)).unwrap_or(MAX_MEMORY_MIB)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::settings::Limits;

    #[test]
    fn limits_size_the_vm() {
        let shape = |memory: Option<&str>, cpus: Option<&str>| {
            let limits = Limits {
                memory: memory.map(|m| m.parse().unwrap()),
                cpus: cpus.map(|c| c.parse().unwrap()),
                ..Limits::default()
            };
            VmShape::for_settings(&Settings { limits, ..Settings::default() })
        };
        assert_eq!(shape(None, None), VmShape { vcpus: 1, memory_mib: 512 });
        assert_eq!(shape(Some("128m"), Some("2.5")), VmShape { vcpus: 3, memory_mib: 256 });
        assert_eq!(shape(Some("6m"), None).memory_mib, MIN_MEMORY_MIB);
        for (cpus, list, vcpus) in [(None, "0-3", 4), (Some("2"), "0-3", 2), (Some("2"), "5", 1)] {
            let (cpus, cpuset_cpus) = (cpus.map(|c| c.parse().unwrap()), Some(list.parse().unwrap()));
            let limits = Limits { cpus, cpuset_cpus, ..Limits::default() };
            let settings = Settings { limits, ..Settings::default() };
            assert_eq!(VmShape::for_settings(&settings).vcpus, vcpus, "{cpus:?} {list}");
        }
    }
    #[test]
    fn limits_of_a_spec_size_the_vm() {
        let shape = |json: &str| VmShape::for_resources(Some(&serde_json::from_str(json).unwrap()));
        let default = VmShape { vcpus: 1, memory_mib: 512 };
        assert_eq!(VmShape::for_resources(None), default);
        assert_eq!(shape(r#"{"memory": {"limit": -1}, "cpu": {"quota": -1, "period": 0}}"#), default);
        let limited = shape(r#"{"memory": {"limit": 134217728}, "cpu": {"quota": 250000}}"#);
        assert_eq!(limited, VmShape { vcpus: 3, memory_mib: 256 });
        let absurd = shape(r#"{"memory": {"limit": 9223372036854775807}, "cpu": {"quota": 9000000000}}"#);
        assert_eq!(absurd, VmShape { vcpus: MAX_VCPUS, memory_mib: MAX_MEMORY_MIB });
    }

    #[test]
    fn a_pod_has_room_for_all_of_its_containers() {
        assert_eq!(VmShape::pod_memory_mib([]), 640);
        assert_eq!(VmShape::pod_memory_mib([Some(64 << 20), None]), 640);
        assert_eq!(VmShape::pod_memory_mib([Some(512 << 20), Some(512 << 20)]), 1280);
        assert_eq!(VmShape::pod_memory_mib([Some(u64::MAX), None]), MAX_MEMORY_MIB);
        assert!(VmShape::largest_pod_mib().is_multiple_of(MEMORY_BLOCK_MIB));
    }

    #[test]
    fn a_vm_can_be_larger_than_its_limits_need() {
        let shape = |vm_memory: &str, limit: Option<&str>| {
            let limits = Limits { memory: limit.map(|m| m.parse().unwrap()), ..Limits::default() };
            let (vm_memory, vm_cpus) = (vm_memory.parse().ok(), Some(3));
            VmShape::for_settings(&Settings { limits, vm_memory, vm_cpus, ..Settings::default() })
        };
        assert_eq!(shape("128m", None), VmShape { vcpus: 3, memory_mib: 128 });
        assert_eq!(shape("1g", Some("128m")).memory_mib, 1024);
        assert_eq!(shape("128m", Some("128m")).memory_mib, 256);
    }

    #[test]
    fn there_are_few_sizes() {
        let sizes = [1, 64, 65, 178, 1024, 1025, 8192, 8193, u32::MAX].map(rounded);
        assert_eq!(sizes, [64, 64, 128, 256, 1024, 1280, 8192, 9216, MAX_MEMORY_MIB]);
    }

    #[test]
    fn few_vms_boot_for_all_sizes() {
        let sizes = [64, 100, 128, 200, 256, 384, 512, 640, 641, 1024, 5120, MAX_MEMORY_MIB];
        let booted = sizes.map(|memory_mib| VmShape { vcpus: 2, memory_mib }.booted().memory_mib);
        assert_eq!(booted, [64, 100, 128, 200, 128, 128, 512, 640, 641, 640, 640, 640]);
    }
}
