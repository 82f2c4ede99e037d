//! Names of checkpoints.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, as Docker's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CheckpointName(String);

/// A name with characters that are not allowed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid checkpoint ID ({0}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
pub struct CheckpointNameError(String);

/// Longest name; it is a file name.
const MAX_BYTES: usize = 200;
/// No user's name begins so.
const FORK: &str = ".fork";

impl CheckpointName {
    /// The checkpoint that a fork goes on from; it is used once.
    #[must_use]
    pub fn fork() -> Self {
        Self(FORK.to_owned())
    }

    /// Whether it is [`Self::fork`].
    #[must_use]
    pub fn is_fork(&self) -> bool {
        self.0 == FORK
    }

    /// The bare name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CheckpointName {
    type Err = CheckpointNameError;

    fn from_str(text: &str) -> Result<Self, CheckpointNameError> {
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
        let rest = bytes.len() > 0 && bytes.all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        if first && rest && text.len() <= MAX_BYTES {
            Ok(Self(text.to_owned()))
        } else {
            Err(CheckpointNameError(text.to_owned()))
        }
    }
}

impl TryFrom<String> for CheckpointName {
    type Error = CheckpointNameError;

    fn try_from(text: String) -> Result<Self, CheckpointNameError> {
        if text == FORK { Ok(Self(text)) } else { text.parse() }
    }
}

impl From<CheckpointName> for String {
    fn from(name: CheckpointName) -> Self {
        name.0
    }
}

impl fmt::Display for CheckpointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_pass() {
        for name in ["c1", "before-update", "a_b.c"] {
            assert!(name.parse::<CheckpointName>().is_ok(), "{name}");
        }
        for name in ["", "a", ".fork", "..", "a/b", "-x", "a b"] {
            assert!(name.parse::<CheckpointName>().is_err(), "{name}");
        }
        assert!(CheckpointName::try_from(".fork".to_owned()).is_ok_and(|name| name.is_fork()));
    }
}
