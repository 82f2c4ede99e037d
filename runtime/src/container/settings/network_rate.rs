//! `--net-rate-in 10m`: how fast each of a container's interfaces may be.

use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::quantity::{self, Units};

/// Bytes in a second; in a change, zero takes the limit away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRate(u64);

/// Not a rate.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "invalid rate {0:?}: want bytes per second, as a positive number with an optional unit of b, k, m or g"
)]
pub struct NetworkRateError(String);

impl NetworkRate {
    /// It as a number; `None` for no limit.
    #[must_use]
    pub const fn bytes_per_s(self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.0)
    }

    /// A rate, or zero.
    ///
    /// # Errors
    /// It is no number of bytes.
    pub fn parse_change(text: &str) -> Result<Self, NetworkRateError> {
        quantity::parse(text, Units::Binary).map(Self).ok_or_else(|| NetworkRateError(text.to_owned()))
    }
}

impl FromStr for NetworkRate {
    type Err = NetworkRateError;

    fn from_str(text: &str) -> Result<Self, NetworkRateError> {
        let rate = Self::parse_change(text)?;
        if rate.0 == 0 { Err(NetworkRateError(text.to_owned())) } else { Ok(rate) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_units_and_are_not_zero() {
        assert_eq!("2m".parse::<NetworkRate>().unwrap().bytes_per_s(), NonZeroU64::new(2 << 20));
        assert_eq!(NetworkRate::parse_change("0").unwrap().bytes_per_s(), None);
        for text in ["", "0", "-1", "fast", "10mbit"] {
            assert!(text.parse::<NetworkRate>().is_err(), "{text}");
        }
    }
}
