//! `-m 512m`: an amount of memory.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Docker's floor for `--memory`, in bytes.
const MIN_BYTES: u64 = 6 << 20;

/// An amount of memory in bytes, at least 6 MiB (Docker's floor).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MemorySize(u64);

/// Why an amount of memory is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MemorySizeError {
    /// Not a number with an optional unit.
    #[error("invalid size {0:?}: want a number with an optional unit b, k, m or g, such as 512m")]
    Malformed(String),
    /// Below Docker's floor.
    #[error("minimum memory limit allowed is 6MB")]
    TooSmall,
}

impl MemorySize {
    /// The amount in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for MemorySize {
    type Err = MemorySizeError;

    fn from_str(text: &str) -> Result<Self, MemorySizeError> {
        let malformed = || MemorySizeError::Malformed(text.to_owned());
        let lower = text.trim().to_ascii_lowercase();
        let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match lower.get(digits.len()..).unwrap_or_default() {
            "" | "b" => 1_u64,
            "k" | "kb" | "kib" => 1 << 10,
            "m" | "mb" | "mib" => 1 << 20,
            "g" | "gb" | "gib" => 1 << 30,
            "t" | "tb" | "tib" => 1 << 40,
            _ => return Err(malformed()),
        };
        let bytes = parse_decimal(digits.trim_end(), unit).ok_or_else(malformed)?;
        if bytes < MIN_BYTES { Err(MemorySizeError::TooSmall) } else { Ok(Self(bytes)) }
    }
}

/// `1.5` times `unit`, exactly, rounded down; `None` when it is no decimal number or does not fit.
fn parse_decimal(digits: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let numerator = if fraction.is_empty() { 0 } else { fraction.parse::<u128>().ok()? };
    whole.checked_add(u64::try_from(numerator * u128::from(unit) / scale).ok()?)
}

impl fmt::Display for MemorySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_dockers() {
        for (text, bytes) in [
            ("6291456", 6 << 20),
            ("512m", 512 << 20),
            ("512MB", 512 << 20),
            ("1.5g", 3 << 29),
            ("1GiB", 1 << 30),
            ("8192k", 8 << 20),
        ] {
            assert_eq!(text.parse(), Ok(MemorySize(bytes)), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "m", "-1m", "1x", "1..5g", "99999999999999999999", "1e3m", "20000000t"] {
            assert!(matches!(text.parse::<MemorySize>(), Err(MemorySizeError::Malformed(_))), "{text}");
        }
        assert_eq!("5m".parse::<MemorySize>(), Err(MemorySizeError::TooSmall));
    }
}
