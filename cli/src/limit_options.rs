//! The flags that limit what a container uses: of `holm create` and `holm run`, and of `holm update`.

use std::fs;

use anyhow::{Result, bail};
use clap::Args;
use holm_runtime::container::settings::{
    CpuList, CpuPeriod, CpuQuota, CpuShares, Cpus, Limits, MemorySize, SwapLimit,
};

/// The host's processors that can be used, in the same format.
const ONLINE: &str = "/sys/devices/system/cpu/online";

/// How much of the machine a container gets.
#[derive(Debug, Args)]
pub(crate) struct LimitOptions {
    /// CPU shares (relative weight; 1024 is the default)
    #[arg(short, long, value_name = "WEIGHT", allow_negative_numbers = true)]
    cpu_shares: Option<CpuShares>,
    /// Number of CPUs
    #[arg(long, value_name = "NUMBER")]
    cpus: Option<Cpus>,
    /// Limit CPU CFS (Completely Fair Scheduler) period, in microseconds
    #[arg(long, value_name = "MICROSECONDS", allow_negative_numbers = true)]
    cpu_period: Option<CpuPeriod>,
    /// Limit CPU CFS (Completely Fair Scheduler) quota, in microseconds (-1 for unlimited)
    #[arg(long, value_name = "MICROSECONDS", allow_negative_numbers = true)]
    cpu_quota: Option<CpuQuota>,
    /// CPUs of the host on which the container's VM runs (0-3, 0,1)
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<CpuList>,
    /// Memory limit (b, k, m or g)
    #[arg(short, long, value_name = "BYTES")]
    memory: Option<MemorySize>,
    /// Memory soft limit
    #[arg(long, value_name = "BYTES")]
    memory_reservation: Option<MemorySize>,
    /// Swap limit equal to memory plus swap: -1 for unlimited swap
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true)]
    memory_swap: Option<SwapLimit>,
    /// Limit the number of processes and threads (-1 for unlimited)
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pids_limit: Option<i64>,
}

impl LimitOptions {
    /// What was said, which may still make no sense together.
    ///
    /// # Errors
    /// The host has no such processors.
    pub(crate) fn limits(self) -> Result<Limits> {
        if let Some(list) = &self.cpuset_cpus {
            let online = fs::read_to_string(ONLINE)?;
            if !online.parse::<CpuList>()?.cpus().is_superset(list.cpus()) {
                bail!("requested CPUs are not available - requested {list}, available: {}", online.trim());
            }
        }
        Ok(Limits {
            memory: self.memory,
            memory_reservation: self.memory_reservation,
            memory_swap: self.memory_swap,
            cpus: self.cpus,
            cpu_period: self.cpu_period,
            cpu_quota: self.cpu_quota,
            cpuset_cpus: self.cpuset_cpus,
            cpu_shares: self.cpu_shares,
            pids_limit: self.pids_limit,
            ..Limits::default()
        })
    }
}
