//! What a container may use, which `holm update` can change later.

use serde::{Deserialize, Serialize};

use super::{CpuList, CpuPeriod, CpuQuota, CpuShares, Cpus, DeviceRates, MemorySize, NetworkRate, SwapLimit};

/// Limits, or a change of them. `None` is no limit, and in a change: as before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Limits {
    /// `-m`.
    pub memory: Option<MemorySize>,
    /// `--memory-reservation`.
    pub memory_reservation: Option<MemorySize>,
    /// `--memory-swap`; zero in a change is as before.
    pub memory_swap: Option<SwapLimit>,
    /// `--cpus`.
    pub cpus: Option<Cpus>,
    /// `--cpu-period`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_period: Option<CpuPeriod>,
    /// `--cpu-quota`; without a limit in a change takes it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_quota: Option<CpuQuota>,
    /// `--cpuset-cpus`.
    pub cpuset_cpus: Option<CpuList>,
    /// `--cpu-shares`.
    pub cpu_shares: Option<CpuShares>,
    /// `--pids-limit`: processes and threads; zero or less in a change takes the limit away.
    pub pids_limit: Option<i64>,
    /// `--net-rate-in`, where it is not as the container was made; zero is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_rate_in: Option<NetworkRate>,
    /// The same of `--net-rate-out`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_rate_out: Option<NetworkRate>,
    /// The same of `--device-read-bps` and the like, for the paths that are named.
    #[serde(skip_serializing_if = "DeviceRates::is_empty")]
    pub device_rates: DeviceRates,
}

/// Why limits make no sense together. The words are Docker's.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum LimitsError {
    /// Swap without memory.
    #[error("you should always set the memory limit when using the memory-swap limit, see usage")]
    SwapWithoutMemory,
    /// Both together less than memory alone.
    #[error("minimum memory-swap limit should be larger than memory limit, see usage")]
    SwapBelowMemory,
    /// Memory is raised above what was set for both.
    #[error(
        "memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
    )]
    MemoryAboveSwap,
    /// Processor time is said in two ways.
    #[error("conflicting options: --cpus and --cpu-period or --cpu-quota cannot both be set")]
    CpusAndQuota,
    /// A soft limit above the hard one.
    #[error("minimum memory limit can not be less than memory reservation limit, see usage")]
    ReservationAboveMemory,
}

impl Limits {
    /// These limits after a change.
    ///
    /// # Errors
    /// They contradict each other then.
    pub fn changed(&self, change: &Self) -> Result<Self, LimitsError> {
        let swap = change.memory_swap.filter(|swap| swap.bytes() != 0);
        let changed = Self {
            memory: change.memory.or(self.memory),
            memory_reservation: change.memory_reservation.or(self.memory_reservation),
            memory_swap: swap.or(self.memory_swap),
            cpus: change.cpus.or(self.cpus),
            cpu_period: change.cpu_period.or(self.cpu_period),
            cpu_quota: change.cpu_quota.or(self.cpu_quota),
            cpuset_cpus: change.cpuset_cpus.clone().or_else(|| self.cpuset_cpus.clone()),
            cpu_shares: change.cpu_shares.or(self.cpu_shares),
            pids_limit: change.pids_limit.or(self.pids_limit).filter(|limit| *limit > 0),
            net_rate_in: change.net_rate_in.or(self.net_rate_in),
            net_rate_out: change.net_rate_out.or(self.net_rate_out),
            device_rates: self.device_rates.changed(&change.device_rates),
        };
        if changed.cpus.is_some() && (changed.cpu_period.is_some() || changed.cpu_quota.is_some()) {
            return Err(LimitsError::CpusAndQuota);
        }
        let memory = changed.memory.map(|memory| i64::try_from(memory.bytes()).unwrap_or(i64::MAX));
        match (memory, changed.memory_swap.map(SwapLimit::bytes)) {
            (None, Some(1..)) => return Err(LimitsError::SwapWithoutMemory),
            (Some(memory), Some(both @ 1..)) if both < memory => {
                let was_set = swap.is_none();
                return Err(if was_set {
                    LimitsError::MemoryAboveSwap
                } else {
                    LimitsError::SwapBelowMemory
                });
            }
            _ => {}
        }
        if changed.memory.is_some_and(|limit| changed.memory_reservation > Some(limit)) {
            return Err(LimitsError::ReservationAboveMemory);
        }
        Ok(changed)
    }

    /// Virtual CPUs that the processor time needs; `None` where it has no limit.
    #[must_use]
    pub fn vcpus(&self) -> Option<u8> {
        let by_quota = || self.cpu_quota?.vcpus(self.cpu_period.unwrap_or_default());
        self.cpus.map(Cpus::vcpus).or_else(by_quota)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(size: &str) -> Limits {
        Limits { memory: Some(size.parse().unwrap()), ..Limits::default() }
    }

    fn swap(size: &str) -> Limits {
        Limits { memory_swap: Some(size.parse().unwrap()), ..Limits::default() }
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let before = Limits { pids_limit: Some(20), cpus: Some("2".parse().unwrap()), ..memory("64m") };
        let change = Limits { pids_limit: Some(-1), ..memory("1g") };
        let after = before.changed(&change).unwrap();
        assert_eq!(after, Limits { cpus: before.cpus, ..memory("1g") });
        assert_eq!(after.changed(&Limits::default()).unwrap(), after);
        assert_eq!(after.changed(&swap("0")).unwrap(), after);
    }

    #[test]
    fn contradictions_are_refused() {
        let none = Limits::default();
        assert_eq!(none.changed(&swap("1g")), Err(LimitsError::SwapWithoutMemory));
        assert_eq!(none.changed(&swap("-1")).unwrap().memory_swap, Some("-1".parse().unwrap()));
        assert_eq!(memory("64m").changed(&swap("32m")), Err(LimitsError::SwapBelowMemory));
        let both = memory("64m").changed(&swap("96m")).unwrap();
        assert_eq!(both.changed(&memory("128m")), Err(LimitsError::MemoryAboveSwap));
        let soft = Limits { memory_reservation: Some("65m".parse().unwrap()), ..Limits::default() };
        assert_eq!(memory("64m").changed(&soft), Err(LimitsError::ReservationAboveMemory));
        assert_eq!(none.changed(&soft).unwrap(), soft);
        let cpus = Limits { cpus: Some("1".parse().unwrap()), ..Limits::default() };
        let quota = Limits { cpu_quota: Some("50000".parse().unwrap()), ..Limits::default() };
        let period = Limits { cpu_period: Some("50000".parse().unwrap()), ..Limits::default() };
        assert_eq!(cpus.changed(&quota), Err(LimitsError::CpusAndQuota));
        assert_eq!(period.changed(&cpus), Err(LimitsError::CpusAndQuota));
        assert_eq!(quota.changed(&period).unwrap().vcpus(), Some(1));
    }
}
