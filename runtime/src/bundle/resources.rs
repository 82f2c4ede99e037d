//! Limits as the OCI runtime spec has them (config-linux.md, "Control groups"): for a container's start, and to change them.

use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxPids, LinuxResources};

use crate::container::settings::{CpuPeriod, CpuQuota, CpuShares, Limits, MemorySize, SwapLimit};

/// Period of the CPU bandwidth controller in microseconds.
const CPU_PERIOD_US: u64 = 100_000;

/// All limits; one that is taken away is said, too. Processors are the host's, so the guest hears nothing of them.
#[must_use]
pub fn limit_resources(limits: &Limits) -> LinuxResources {
    let mut resources = LinuxResources::default();
    // The default has devices in it, which are no limits.
    resources.set_devices(None);
    let bytes = |size: MemorySize| i64::try_from(size.bytes()).unwrap_or(i64::MAX);
    let mut memory = LinuxMemory::default();
    memory
        .set_limit(limits.memory.map(bytes))
        .set_reservation(limits.memory_reservation.map(bytes))
        .set_swap(limits.memory_swap.map(SwapLimit::bytes));
    if memory != LinuxMemory::default() {
        resources.set_memory(Some(memory));
    }
    let mut pids = LinuxPids::default();
    pids.set_limit(limits.pids_limit.unwrap_or(-1));
    resources.set_pids(Some(pids));
    let mut cpu = LinuxCpu::default();
    cpu.set_shares(limits.cpu_shares.map(CpuShares::shares))
        .set_period(limits.cpu_period.map(CpuPeriod::us))
        .set_quota(limits.cpu_quota.map(CpuQuota::us));
    if let Some(cpus) = limits.cpus {
        let quota = i64::try_from(cpus.nano() / (1_000_000_000 / CPU_PERIOD_US)).unwrap_or(i64::MAX);
        cpu.set_period(Some(CPU_PERIOD_US)).set_quota(Some(quota));
    }
    if cpu != LinuxCpu::default() {
        resources.set_cpu(Some(cpu));
    }
    resources
}
