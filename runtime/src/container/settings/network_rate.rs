//! `--net-rate-in 10m`: how fast each of a container's interfaces may be.

use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::quantity::{self, Units};

/// Bytes in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRate(NonZeroU64);

/// Not a rate.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "invalid rate {0:?}: want bytes per second, as a positive number with an optional unit of b, k, m or g"
)]
pub struct NetworkRateError(String);

impl NetworkRate {
    /// It as a number.
    #[must_use]
    pub const fn bytes_per_s(self) -> NonZeroU64 {
        self.0
    }
}

impl FromStr for NetworkRate {
    type Err = NetworkRateError;

    fn from_str(text: &str) -> Result<Self, NetworkRateError> {
        let bytes = quantity::parse(text, Units::Binary).and_then(NonZeroU64::new);
        bytes.map(Self).ok_or_else(|| NetworkRateError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_units_and_are_not_zero() {
        assert_eq!("2m".parse::<NetworkRate>().unwrap().bytes_per_s().get(), 2 << 20);
        for text in ["", "0", "-1", "fast", "10mbit"] {
            assert!(text.parse::<NetworkRate>().is_err(), "{text}");
        }
    }
}
