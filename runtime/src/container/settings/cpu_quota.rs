//! `--cpu-quota 150000`: the processor time that there is in each period.

use std::str::FromStr;

use holm_protocol::vm_config::MAX_VCPUS;
use serde::{Deserialize, Serialize};

use super::CpuPeriod;

/// Microseconds, 1,000 at least; -1 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CpuQuota(i64);

/// The kernel's bound (`min_cfs_quota_period` of its scheduler).
const MIN_US: i64 = 1_000;

/// Why a quota is refused. The second's words are Docker's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CpuQuotaError {
    /// Not a number.
    #[error("invalid CPU quota {0:?}: want a number of microseconds")]
    Malformed(String),
    /// Less than the kernel takes.
    #[error("CPU cfs quota can not be less than 1ms (i.e. 1000)")]
    Range,
}

impl CpuQuota {
    /// Microseconds; -1 is no limit.
    #[must_use]
    pub const fn us(self) -> i64 {
        self.0
    }

    /// Virtual CPUs that this much time needs: rounded up. `None` without a limit.
    #[must_use]
    pub fn vcpus(self, period: CpuPeriod) -> Option<u8> {
        let quota_us = u64::try_from(self.0).ok()?;
        Some(u8::try_from(quota_us.div_ceil(period.us())).unwrap_or(MAX_VCPUS).min(MAX_VCPUS))
    }
}

impl FromStr for CpuQuota {
    type Err = CpuQuotaError;

    /// Zero and less is no limit, as in Docker.
    fn from_str(text: &str) -> Result<Self, CpuQuotaError> {
        match text.trim().parse::<i64>().map_err(|_| CpuQuotaError::Malformed(text.to_owned()))? {
            ..=0 => Ok(Self(-1)),
            us @ MIN_US.. => Ok(Self(us)),
            _ => Err(CpuQuotaError::Range),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_round_up_to_virtual_cpus() {
        let vcpus =
            |quota: &str, period: &str| quota.parse::<CpuQuota>().unwrap().vcpus(period.parse().unwrap());
        assert_eq!(vcpus("50000", "100000"), Some(1));
        assert_eq!(vcpus("150000", "100000"), Some(2));
        assert_eq!(vcpus("50000", "10000"), Some(5));
        assert_eq!(vcpus("9000000000", "1000"), Some(MAX_VCPUS));
        assert_eq!(vcpus("-1", "100000"), None);
        assert_eq!(vcpus("0", "100000"), None);
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!("999".parse::<CpuQuota>(), Err(CpuQuotaError::Range));
        assert_eq!("x".parse::<CpuQuota>(), Err(CpuQuotaError::Malformed("x".into())));
    }
}
