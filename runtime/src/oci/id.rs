//! Ids of containers: names of directories that the engine chooses.

use std::fmt;
use std::str::FromStr;

use super::error::OciError;

/// Longest id, as file systems have it.
const MAX_BYTES: usize = 255;

/// A container's id: letters, digits and `_+-.`, as runc has it; no hidden file's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OciId(String);

impl OciId {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OciId {
    type Err = OciError;

    fn from_str(text: &str) -> Result<Self, OciError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
        // Names that begin with a dot are this program's own.
        if text.is_empty() || text.len() > MAX_BYTES || text.starts_with('.') || !text.bytes().all(allowed) {
            return Err(OciError::InvalidId(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for OciId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_name_directories_and_nothing_else() {
        for sound in ["a", "A-b_c+d.e", &"x".repeat(255)] {
            assert_eq!(sound.parse::<OciId>().unwrap().as_str(), sound);
        }
        for refused in ["", ".", "..", ".new-1", "a/b", "a b", "ä", &"x".repeat(256)] {
            assert!(refused.parse::<OciId>().is_err(), "{refused}");
        }
    }
}
