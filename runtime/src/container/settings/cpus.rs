//! `--cpus 1.5`: a share of processor time.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Billionths of a CPU, as Docker's `NanoCpus`; more than zero and at most 32 CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cpus(u64);

const NANO: u64 = 1_000_000_000;

/// Why a number of CPUs is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CpusError {
    /// Not a decimal number.
    #[error("invalid number of CPUs {0:?}: want a decimal number such as 1.5")]
    Malformed(String),
    /// Zero, less than a hundredth, or more than a VM may have.
    #[error("range of CPUs is from 0.01 to {max}, as a VM has at most {max}", max = holm_protocol::vm_config::MAX_VCPUS)]
    Range,
}

impl Cpus {
    /// Billionths of a CPU.
    #[must_use]
    pub const fn nano(self) -> u64 {
        self.0
    }

    /// Virtual CPUs that this much time needs: rounded up.
    #[must_use]
    pub fn vcpus(self) -> u8 {
        u8::try_from(self.0.div_ceil(NANO)).unwrap_or(holm_protocol::vm_config::MAX_VCPUS)
    }
}

impl FromStr for Cpus {
    type Err = CpusError;

    fn from_str(text: &str) -> Result<Self, CpusError> {
        let malformed = || CpusError::Malformed(text.to_owned());
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !digits(whole) || !digits(fraction) || fraction.len() > 9 {
            return Err(malformed());
        }
        let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().map_err(|_| malformed())? };
        let nano = format!("{fraction:0<9}").parse::<u64>().map_err(|_| malformed())?;
        let total = whole.checked_mul(NANO).and_then(|n| n.checked_add(nano)).ok_or(CpusError::Range)?;
        let max = u64::from(holm_protocol::vm_config::MAX_VCPUS) * NANO;
        if (NANO / 100..=max).contains(&total) { Ok(Self(total)) } else { Err(CpusError::Range) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_exact_and_round_up_to_virtual_cpus() {
        for (text, nano, vcpus) in
            [("1", NANO, 1), ("1.5", NANO * 3 / 2, 2), (".5", NANO / 2, 1), ("0.01", NANO / 100, 1)]
        {
            let cpus: Cpus = text.parse().unwrap();
            assert_eq!((cpus.nano(), cpus.vcpus()), (nano, vcpus), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", ".", "-1", "one", "1.5.5", "0.1234567890"] {
            assert!(matches!(text.parse::<Cpus>(), Err(CpusError::Malformed(_))), "{text}");
        }
        for text in ["0", "0.001", "33", "99999999999999999"] {
            assert_eq!(text.parse::<Cpus>(), Err(CpusError::Range), "{text}");
        }
    }
}
