//! `--storage-opt size=20g`: how much a container may write.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::quantity::{self, Units};

const MIB: u64 = 1 << 20;
/// What an ext4 with its journal needs to be of any use, in bytes.
const MIN_BYTES: u64 = 64 * MIB;
/// The largest file of an ext4 with blocks of 4 KiB on the host, in bytes.
const MAX_BYTES: u64 = (16 << 40) - MIB;

/// The size of a writable layer (M14), in bytes: whole MiB. Only what is written takes room on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LayerSize(u64);

/// Why a storage option is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LayerSizeError {
    /// No such option.
    #[error("unknown storage option {0:?}: want size=SIZE")]
    Option(String),
    /// Not a number with an optional unit.
    #[error("invalid size {0:?}: want a number with an optional unit b, k, m, g or t, such as 20g")]
    Malformed(String),
    /// Too small or too large to be a file system.
    #[error("invalid size {0:?}: want 64m to 16t")]
    OutOfRange(String),
}

impl LayerSize {
    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl Default for LayerSize {
    /// 10 GiB, as Docker's storage drivers that have a size.
    fn default() -> Self {
        Self(10 << 30)
    }
}

impl FromStr for LayerSize {
    type Err = LayerSizeError;

    fn from_str(text: &str) -> Result<Self, LayerSizeError> {
        let size = text.strip_prefix("size=").ok_or_else(|| LayerSizeError::Option(text.to_owned()))?;
        let bytes =
            quantity::parse(size, Units::Binary).ok_or_else(|| LayerSizeError::Malformed(size.to_owned()))?;
        if !(MIN_BYTES..=MAX_BYTES).contains(&bytes) {
            return Err(LayerSizeError::OutOfRange(size.to_owned()));
        }
        Ok(Self(bytes.next_multiple_of(MIB)))
    }
}

impl fmt::Display for LayerSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "size={}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_whole_mib_within_limits() {
        let size = |text: &str| text.parse::<LayerSize>();
        assert_eq!(size("size=20G"), Ok(LayerSize(20 << 30)));
        assert_eq!(size("size=67108865"), Ok(LayerSize(65 << 20)));
        assert_eq!(size(&LayerSize::default().to_string()), Ok(LayerSize::default()));
        assert_eq!(size("size=big"), Err(LayerSizeError::Malformed("big".into())));
        assert_eq!(size("size=1m"), Err(LayerSizeError::OutOfRange("1m".into())));
        assert_eq!(size("size=16t"), Err(LayerSizeError::OutOfRange("16t".into())));
        assert_eq!(size("inodes=5"), Err(LayerSizeError::Option("inodes=5".into())));
    }
}
