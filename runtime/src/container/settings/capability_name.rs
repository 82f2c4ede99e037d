//! `--cap-add NET_ADMIN`, `--cap-drop ALL`: names of capabilities.

use std::fmt;
use std::str::FromStr;

use oci_spec::runtime::Capability;
use serde::{Deserialize, Serialize};

/// One capability, or all of them; written as Docker does, with or without `CAP_`, in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum CapabilityName {
    /// `ALL`.
    All,
    /// A single one.
    One(Capability),
}

/// Why a capability is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid capability: {0:?}")]
pub struct CapabilityNameError(String);

impl FromStr for CapabilityName {
    type Err = CapabilityNameError;

    fn from_str(text: &str) -> Result<Self, CapabilityNameError> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if name == "ALL" {
            return Ok(Self::All);
        }
        name.parse().map(Self::One).map_err(|_| CapabilityNameError(text.to_owned()))
    }
}

impl fmt::Display for CapabilityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("ALL"),
            Self::One(capability) => write!(f, "CAP_{capability}"),
        }
    }
}

impl From<CapabilityName> for String {
    fn from(name: CapabilityName) -> Self {
        name.to_string()
    }
}

impl TryFrom<String> for CapabilityName {
    type Error = CapabilityNameError;

    fn try_from(text: String) -> Result<Self, CapabilityNameError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_in_every_spelling() {
        for text in ["NET_ADMIN", "net_admin", "CAP_NET_ADMIN"] {
            assert_eq!(text.parse(), Ok(CapabilityName::One(Capability::NetAdmin)), "{text}");
        }
        assert_eq!("all".parse(), Ok(CapabilityName::All));
        assert!("NET".parse::<CapabilityName>().is_err());
        assert_eq!(CapabilityName::One(Capability::NetAdmin).to_string(), "CAP_NET_ADMIN");
    }
}
