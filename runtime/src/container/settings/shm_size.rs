//! `--shm-size 1g`: the size of `/dev/shm`.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::quantity::{self, Units};

/// The size of `/dev/shm` in bytes, more than zero; Docker's 64 MiB unless said. It is memory of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShmSize(u64);

/// Why a size is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ShmSizeError {
    /// Not a positive number with an optional unit.
    #[error("invalid size {0:?}: want a number above zero with an optional unit b, k, m or g, such as 128m")]
    Malformed(String),
}

impl ShmSize {
    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl Default for ShmSize {
    fn default() -> Self {
        Self(64 << 20)
    }
}

impl FromStr for ShmSize {
    type Err = ShmSizeError;

    fn from_str(text: &str) -> Result<Self, ShmSizeError> {
        quantity::parse(text.trim(), Units::Binary)
            .filter(|bytes| *bytes > 0)
            .map(Self)
            .ok_or_else(|| ShmSizeError::Malformed(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_no_size() {
        assert_eq!("1g".parse(), Ok(ShmSize(1 << 30)));
        for text in ["", "0", "0m", "-1", "x"] {
            assert_eq!(text.parse::<ShmSize>(), Err(ShmSizeError::Malformed(text.into())), "{text}");
        }
    }
}
