//! `-m 512m`: an amount of memory.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::quantity::{self, Units};

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
        let bytes = quantity::parse(text.trim(), Units::Binary)
            .ok_or_else(|| MemorySizeError::Malformed(text.to_owned()))?;
        if bytes < MIN_BYTES { Err(MemorySizeError::TooSmall) } else { Ok(Self(bytes)) }
    }
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
