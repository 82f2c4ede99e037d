//! `--memory-swap 1g`: memory and swap together.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::quantity::{self, Units};

/// A limit of memory and swap together, in bytes; -1 is none (Docker's).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SwapLimit(i64);

/// Why a limit is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SwapLimitError {
    /// Not a number with an optional unit.
    #[error("invalid size {0:?}: want -1 or a number with an optional unit b, k, m or g, such as 512m")]
    Malformed(String),
}

impl SwapLimit {
    /// The limit in bytes, or -1.
    #[must_use]
    pub const fn bytes(self) -> i64 {
        self.0
    }
}

impl FromStr for SwapLimit {
    type Err = SwapLimitError;

    fn from_str(text: &str) -> Result<Self, SwapLimitError> {
        if text.trim() == "-1" {
            return Ok(Self(-1));
        }
        quantity::parse(text.trim(), Units::Binary)
            .and_then(|bytes| i64::try_from(bytes).ok())
            .map(Self)
            .ok_or_else(|| SwapLimitError::Malformed(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minus_one_is_no_limit() {
        assert_eq!("-1".parse(), Ok(SwapLimit(-1)));
        assert_eq!("1g".parse(), Ok(SwapLimit(1 << 30)));
        for text in ["", "-2", "x", "99999999999t"] {
            assert_eq!(text.parse::<SwapLimit>(), Err(SwapLimitError::Malformed(text.into())), "{text}");
        }
    }
}
