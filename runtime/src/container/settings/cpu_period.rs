//! `--cpu-period 50000`: how often the processor time of `--cpu-quota` is given out.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Microseconds, 1,000 to 1,000,000; the kernel's own is 100,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CpuPeriod(u64);

/// The kernel's bounds (`min_cfs_quota_period` and `max_cfs_quota_period` of its scheduler).
const RANGE_US: std::ops::RangeInclusive<u64> = 1_000..=1_000_000;

/// Why a period is refused. The second's words are Docker's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CpuPeriodError {
    /// Not a number.
    #[error("invalid CPU period {0:?}: want a number of microseconds")]
    Malformed(String),
    /// Not one that the kernel takes.
    #[error("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")]
    Range,
}

impl CpuPeriod {
    /// Microseconds.
    #[must_use]
    pub const fn us(self) -> u64 {
        self.0
    }
}

impl Default for CpuPeriod {
    fn default() -> Self {
        Self(100_000)
    }
}

impl FromStr for CpuPeriod {
    type Err = CpuPeriodError;

    fn from_str(text: &str) -> Result<Self, CpuPeriodError> {
        let number = text.trim().parse::<i64>().map_err(|_| CpuPeriodError::Malformed(text.to_owned()))?;
        let us = u64::try_from(number).ok().filter(|us| RANGE_US.contains(us));
        us.map(Self).ok_or(CpuPeriodError::Range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_those_that_the_kernel_takes() {
        assert_eq!("1000".parse(), Ok(CpuPeriod(1_000)));
        assert_eq!("1000000".parse(), Ok(CpuPeriod(1_000_000)));
        for text in ["0", "-1", "999", "1000001"] {
            assert_eq!(text.parse::<CpuPeriod>(), Err(CpuPeriodError::Range), "{text}");
        }
        assert_eq!("1s".parse::<CpuPeriod>(), Err(CpuPeriodError::Malformed("1s".into())));
    }
}
