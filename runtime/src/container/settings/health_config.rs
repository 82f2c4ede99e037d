//! `--health-*`, `--no-healthcheck` and the image's HEALTHCHECK: whether a workload that runs also works.
//!
//! Names and units are those of Docker's `Config.Healthcheck` (moby docker-image-spec): times in nanoseconds, 0 for what
//! is not said.

use std::time::Duration;

use serde::{Deserialize, Serialize};

const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_START_INTERVAL: Duration = Duration::from_secs(5);
const DEFAULT_RETRIES: u32 = 3;
/// Shorter ones are no use, and cost the host more than they tell.
const SHORTEST: Duration = Duration::from_millis(1);

/// What is asked of a container's health.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HealthConfig {
    /// `["NONE"]`; `["CMD", program, ...]`; `["CMD-SHELL", command]`; empty for the image's.
    pub test: Vec<String>,
    /// Between two probes.
    #[serde(rename = "Interval", skip_serializing_if = "is_zero")]
    pub interval_ns: u64,
    /// How long a probe may take.
    #[serde(rename = "Timeout", skip_serializing_if = "is_zero")]
    pub timeout_ns: u64,
    /// How long failures do not count after the start.
    #[serde(rename = "StartPeriod", skip_serializing_if = "is_zero")]
    pub start_period_ns: u64,
    /// Between two probes of that time.
    #[serde(rename = "StartInterval", skip_serializing_if = "is_zero")]
    pub start_interval_ns: u64,
    /// How many failures in a row make it unhealthy.
    #[serde(skip_serializing_if = "is_none")]
    pub retries: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_none(number: &u32) -> bool {
    *number == 0
}

/// Reads a `--health-interval` or another time: Go's durations, such as `1m30s`.
///
/// # Errors
/// It is none, or shorter than a millisecond; 0 stands for the image's or the default.
pub fn parse_health_time(text: &str) -> Result<u64, String> {
    let parsed = crate::logs::parse_duration(text).and_then(|time| Duration::try_from(time).ok());
    let time = parsed.ok_or_else(|| format!("invalid duration {text:?}: want one such as 30s or 1m30s"))?;
    if !time.is_zero() && time < SHORTEST {
        return Err(format!("invalid duration {text:?}: cannot be less than 1ms"));
    }
    u64::try_from(time.as_nanos()).map_err(|_| format!("invalid duration {text:?}: too long"))
}

impl HealthConfig {
    /// What a user said, completed with what the image says; `None` when neither asks for anything.
    #[must_use]
    pub fn over(self, image: Option<Self>) -> Option<Self> {
        let image = image.unwrap_or_default();
        let either = |own: u64, other: u64| if own == 0 { other } else { own };
        let merged = Self {
            interval_ns: either(self.interval_ns, image.interval_ns),
            timeout_ns: either(self.timeout_ns, image.timeout_ns),
            start_period_ns: either(self.start_period_ns, image.start_period_ns),
            start_interval_ns: either(self.start_interval_ns, image.start_interval_ns),
            retries: if self.retries == 0 { image.retries } else { self.retries },
            test: if self.test.is_empty() { image.test } else { self.test },
        };
        (!merged.test.is_empty()).then_some(merged)
    }

    /// The program to run and its arguments; `None` when health is not asked for.
    #[must_use]
    pub fn command(&self) -> Option<Vec<String>> {
        match self.test.split_first()? {
            (kind, rest) if kind == "CMD" && !rest.is_empty() => Some(rest.to_vec()),
            (kind, [command, ..]) if kind == "CMD-SHELL" => {
                Some(["/bin/sh", "-c", command.as_str()].map(str::to_owned).to_vec())
            }
            _ => None,
        }
    }

    /// Between two probes.
    #[must_use]
    pub fn interval(&self) -> Duration {
        time(self.interval_ns, DEFAULT_INTERVAL)
    }

    /// How long a probe may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        time(self.timeout_ns, DEFAULT_TIMEOUT)
    }

    /// How long failures do not count.
    #[must_use]
    pub const fn start_period(&self) -> Duration {
        Duration::from_nanos(self.start_period_ns)
    }

    /// Between two probes while failures do not count.
    #[must_use]
    pub fn start_interval(&self) -> Duration {
        time(self.start_interval_ns, DEFAULT_START_INTERVAL)
    }

    /// How many failures in a row make it unhealthy.
    #[must_use]
    pub const fn retries(&self) -> u32 {
        if self.retries == 0 { DEFAULT_RETRIES } else { self.retries }
    }
}

/// An image may ask for a nanosecond.
fn time(nanoseconds: u64, default: Duration) -> Duration {
    if nanoseconds == 0 { default } else { Duration::from_nanos(nanoseconds).max(SHORTEST) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn users_complete_and_replace_what_the_image_says() {
        let image: HealthConfig =
            serde_json::from_str(r#"{"Test":["CMD","check"],"Interval":5000000000,"Retries":7}"#).unwrap();
        let own = HealthConfig { timeout_ns: 1_000_000, retries: 2, ..HealthConfig::default() };
        let merged = own.over(Some(image.clone())).unwrap();
        assert_eq!(merged.command(), Some(words(&["check"])));
        assert_eq!((merged.interval(), merged.retries()), (Duration::from_secs(5), 2));
        assert_eq!(merged.start_interval(), DEFAULT_START_INTERVAL);
        let shell = HealthConfig { test: words(&["CMD-SHELL", "a && b"]), ..HealthConfig::default() };
        assert_eq!(
            shell.over(Some(image.clone())).unwrap().command(),
            Some(words(&["/bin/sh", "-c", "a && b"]))
        );
        let none = HealthConfig { test: words(&["NONE"]), ..HealthConfig::default() };
        assert_eq!(none.over(Some(image)).unwrap().command(), None);
        assert_eq!(HealthConfig::default().over(None), None);
    }

    #[test]
    fn times_are_gos() {
        assert_eq!(parse_health_time("1m30s"), Ok(90_000_000_000));
        assert_eq!(parse_health_time("0s"), Ok(0));
        for text in ["30", "-1s", "10us", "soon"] {
            assert!(parse_health_time(text).is_err(), "{text}");
        }
    }
}
