//! Names of volumes, as Docker takes them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest name: that of a directory.
const MAX_BYTES: usize = 255;

/// A volume's name: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VolumeName(String);

/// Why a name is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum VolumeNameError {
    /// One character or none.
    #[error("volume name is too short, names should be at least two alphanumeric characters")]
    TooShort,
    /// Anything else.
    #[error(
        "{0:?} includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. \
         If you intended to pass a host directory, use absolute path"
    )]
    Characters(String),
    /// Longer than a directory's name can be.
    #[error("volume name is too long")]
    TooLong,
}

impl VolumeName {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of an anonymous volume, from 64 hex digits of random.
    ///
    /// # Errors
    /// They are no name.
    pub fn generated(digits: &str) -> Result<Self, VolumeNameError> {
        digits.parse()
    }
}

impl FromStr for VolumeName {
    type Err = VolumeNameError;

    fn from_str(text: &str) -> Result<Self, VolumeNameError> {
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        match text.len() {
            0 | 1 => Err(VolumeNameError::TooShort),
            _ if !first || !rest => Err(VolumeNameError::Characters(text.to_owned())),
            length if length > MAX_BYTES => Err(VolumeNameError::TooLong),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

impl TryFrom<String> for VolumeName {
    type Error = VolumeNameError;

    fn try_from(text: String) -> Result<Self, VolumeNameError> {
        text.parse()
    }
}

impl From<VolumeName> for String {
    fn from(name: VolumeName) -> Self {
        name.0
    }
}

impl fmt::Display for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_dockers() {
        for name in ["db", "a.b-c_d", "0x"] {
            assert_eq!(name.parse::<VolumeName>().unwrap().as_str(), name);
        }
        assert_eq!("a".parse::<VolumeName>(), Err(VolumeNameError::TooShort));
        for name in ["./a", "a/b", "-a", ".lock", "a b", "..", "dé"] {
            assert!(matches!(name.parse::<VolumeName>(), Err(VolumeNameError::Characters(_))), "{name}");
        }
        assert_eq!("a".repeat(256).parse::<VolumeName>(), Err(VolumeNameError::TooLong));
    }
}
