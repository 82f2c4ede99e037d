//! `--restart`: what happens when the workload ends by itself (M20).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// When to start the container again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// After an exit code that is not zero; at most so many times in a row, 0 for ever.
    OnFailure(u32),
    /// Always, unless a user stopped it.
    Always,
    /// As always; the difference is what a reboot of the host means to it.
    UnlessStopped,
}

/// What is no restart policy.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RestartPolicyError {
    /// An unknown word.
    #[error(
        "invalid restart policy: unknown policy {0:?}; use one of no, always, on-failure[:max-retries] or unless-stopped"
    )]
    Unknown(String),
    /// A number where none belongs.
    #[error("invalid restart policy: maximum retry count can only be used with on-failure")]
    Count,
    /// A number that is none.
    #[error("invalid restart policy: maximum retry count must be an integer: {0:?}")]
    Number(String),
}

impl RestartPolicy {
    /// Whether a workload that ended with `exit_code`, after `restarts` restarts in a row, is started again.
    #[must_use]
    pub const fn applies(self, exit_code: u8, restarts: u32) -> bool {
        match self {
            Self::No => false,
            Self::OnFailure(most) => exit_code != 0 && (most == 0 || restarts < most),
            Self::Always | Self::UnlessStopped => true,
        }
    }

    /// Docker's name for it, without the number.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::OnFailure(_) => "on-failure",
            Self::Always => "always",
            Self::UnlessStopped => "unless-stopped",
        }
    }

    /// The number of retries, 0 where there is none.
    #[must_use]
    pub const fn maximum_retry_count(self) -> u32 {
        match self {
            Self::OnFailure(count) => count,
            _ => 0,
        }
    }
}

impl FromStr for RestartPolicy {
    type Err = RestartPolicyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, count) = text.split_once(':').map_or((text, None), |(name, count)| (name, Some(count)));
        let number = |count: &str| count.parse().map_err(|_| RestartPolicyError::Number(count.to_owned()));
        match (name, count) {
            ("no" | "", None) => Ok(Self::No),
            ("always", None) => Ok(Self::Always),
            ("unless-stopped", None) => Ok(Self::UnlessStopped),
            ("on-failure", None) => Ok(Self::OnFailure(0)),
            ("on-failure", Some(count)) => number(count).map(Self::OnFailure),
            ("no" | "always" | "unless-stopped", Some(_)) => Err(RestartPolicyError::Count),
            _ => Err(RestartPolicyError::Unknown(name.to_owned())),
        }
    }
}

impl TryFrom<String> for RestartPolicy {
    type Error = RestartPolicyError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RestartPolicy> for String {
    fn from(policy: RestartPolicy) -> Self {
        policy.to_string()
    }
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.maximum_retry_count() {
            0 => f.write_str(self.name()),
            count => write!(f, "{}:{count}", self.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_words_are_understood_and_survive() {
        for text in ["no", "always", "unless-stopped", "on-failure", "on-failure:3"] {
            assert_eq!(text.parse::<RestartPolicy>().unwrap().to_string(), text);
        }
        assert_eq!(
            "sometimes".parse::<RestartPolicy>(),
            Err(RestartPolicyError::Unknown("sometimes".into()))
        );
        assert_eq!("always:3".parse::<RestartPolicy>(), Err(RestartPolicyError::Count));
        assert_eq!("on-failure:x".parse::<RestartPolicy>(), Err(RestartPolicyError::Number("x".into())));
    }

    #[test]
    fn policies_apply_to_what_they_are_for() {
        assert!(!RestartPolicy::No.applies(1, 0));
        assert!(RestartPolicy::Always.applies(0, 100));
        assert!(RestartPolicy::OnFailure(0).applies(1, 100));
        assert!(!RestartPolicy::OnFailure(0).applies(0, 0));
        assert!(RestartPolicy::OnFailure(2).applies(1, 1));
        assert!(!RestartPolicy::OnFailure(2).applies(1, 2));
    }
}
