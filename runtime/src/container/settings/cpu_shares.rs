//! `--cpu-shares 512`: how much of contended processors a container gets beside others.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// cgroup v1's shares, 2 to 262,144; a container without any has 1,024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CpuShares(u64);

/// The kernel's bounds (`MIN_SHARES` and `MAX_SHARES` of its scheduler); what lies outside is moved to them, as runc does.
const RANGE: std::ops::RangeInclusive<u64> = 2..=262_144;
const DEFAULT: u64 = 1024;
/// What one step of niceness is worth (kernel/sched/core.c, `sched_prio_to_weight`).
const NICE_STEP: f64 = 1.25;

/// Why shares are refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CpuSharesError {
    /// Not a number.
    #[error("invalid CPU shares {0:?}: want a number")]
    Malformed(String),
    /// Below zero.
    #[error("invalid CPU shares ({0}): value must be a positive integer")]
    Negative(i64),
}

impl CpuShares {
    /// The shares.
    #[must_use]
    pub const fn shares(self) -> u64 {
        self.0
    }

    /// The niceness, -20 to 19, whose weight in the host's scheduler is nearest.
    #[must_use]
    pub fn niceness(self) -> i32 {
        let shares = f64::from(u32::try_from(self.0).unwrap_or(u32::MAX)) / 1024.0;
        let steps = -(shares.log2() / NICE_STEP.log2()).round();
        // Within these bounds it is a small whole number.
        #[allow(clippy::cast_possible_truncation)]
        let niceness = steps.clamp(-20.0, 19.0) as i32;
        niceness
    }
}

impl FromStr for CpuShares {
    type Err = CpuSharesError;

    /// Zero is the default, as in Docker.
    fn from_str(text: &str) -> Result<Self, CpuSharesError> {
        let number = text.trim().parse::<i64>().map_err(|_| CpuSharesError::Malformed(text.to_owned()))?;
        match u64::try_from(number) {
            Ok(0) => Ok(Self(DEFAULT)),
            Ok(shares) => Ok(Self(shares.clamp(*RANGE.start(), *RANGE.end()))),
            Err(_) => Err(CpuSharesError::Negative(number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_the_weights_of_niceness() {
        // The kernel's weights: 15 at 19, 335 at 5, 1024 at 0, 3121 at -5, 88761 at -20.
        for (shares, niceness) in [("2", 19), ("335", 5), ("512", 3), ("1024", 0), ("0", 0), ("3121", -5)] {
            assert_eq!(shares.parse::<CpuShares>().unwrap().niceness(), niceness, "{shares}");
        }
        assert_eq!("9999999".parse::<CpuShares>().unwrap().niceness(), -20);
    }

    #[test]
    fn numbers_outside_are_moved_and_nonsense_is_refused() {
        assert_eq!("1".parse(), Ok(CpuShares(2)));
        assert_eq!("300000".parse(), Ok(CpuShares(262_144)));
        assert_eq!("-1".parse::<CpuShares>(), Err(CpuSharesError::Negative(-1)));
        assert_eq!("x".parse::<CpuShares>(), Err(CpuSharesError::Malformed("x".into())));
    }
}
