//! Names of networks.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `[a-zA-Z0-9][a-zA-Z0-9_.-]*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NetworkName(String);

/// A name with characters that are not allowed.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid network name ({0}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
pub struct NetworkNameError(String);

const MAX_BYTES: usize = 200;

impl NetworkName {
    /// The bare name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NetworkName {
    type Err = NetworkNameError;

    fn from_str(text: &str) -> Result<Self, NetworkNameError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        let begins = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if begins && text.len() <= MAX_BYTES && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NetworkNameError(text.to_owned()))
        }
    }
}

impl TryFrom<String> for NetworkName {
    type Error = NetworkNameError;

    fn try_from(text: String) -> Result<Self, NetworkNameError> {
        text.parse()
    }
}

impl From<NetworkName> for String {
    fn from(name: NetworkName) -> Self {
        name.0
    }
}

impl fmt::Display for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
