//! `--opt com.docker.network.driver.mtu=1400`: what a network's interfaces carry.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Bytes of a packet, 68 to 65,535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mtu(u16);

/// Why it is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid MTU {0:?}: want 68 to 65535 bytes")]
pub struct MtuError(String);

impl Mtu {
    /// The option of `network create` by which it is set: Docker's.
    pub const OPTION: &str = "com.docker.network.driver.mtu";
    /// The least with which there is IPv6 (RFC 8200, section 5).
    pub const LEAST_OF_IPV6: Self = Self(1280);
    /// The least with which there is IPv4 (RFC 791, section 3.2).
    const LEAST_BYTES: u16 = 68;

    /// Bytes.
    #[must_use]
    pub const fn bytes(self) -> u16 {
        self.0
    }
}

impl Default for Mtu {
    /// Ethernet's.
    fn default() -> Self {
        Self(1500)
    }
}

impl FromStr for Mtu {
    type Err = MtuError;

    fn from_str(text: &str) -> Result<Self, MtuError> {
        let bytes = text.parse().ok().filter(|bytes| *bytes >= Self::LEAST_BYTES);
        bytes.map(Self).ok_or_else(|| MtuError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_interface_carries_is_refused() {
        assert_eq!("1400".parse(), Ok(Mtu(1400)));
        for text in ["", "67", "65536", "-1", "1k"] {
            assert_eq!(text.parse::<Mtu>(), Err(MtuError(text.to_owned())));
        }
    }
}
