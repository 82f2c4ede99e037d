//! A signal as users name it: `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3` (`--stop-signal`, `holm kill -s`, an image's StopSignal).

use std::fmt;
use std::str::FromStr;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

/// A signal's number, 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SignalName(i32);

/// What is no signal.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid signal: {0}")]
pub struct SignalNameError(String);

/// The first real-time signal that programs get to use (signal(7), glibc), and the last.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

impl SignalName {
    /// SIGTERM.
    pub const TERM: Self = Self(15);
    /// SIGKILL.
    pub const KILL: Self = Self(9);

    /// Its number on Linux x86_64.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }
}

impl FromStr for SignalName {
    type Err = SignalNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || SignalNameError(text.to_owned());
        if let Ok(number) = text.parse::<i32>() {
            return if (1..=RTMAX).contains(&number) { Ok(Self(number)) } else { Err(refused()) };
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let real_time = |rest: &str, base: i32| {
            let offset = if rest.is_empty() { Some(0) } else { rest.parse::<i32>().ok() };
            offset.map(|offset| base + offset).filter(|number| (RTMIN..=RTMAX).contains(number))
        };
        let number = if let Some(rest) = name.strip_prefix("RTMIN") {
            real_time(rest, RTMIN)
        } else if let Some(rest) = name.strip_prefix("RTMAX") {
            real_time(rest, RTMAX)
        } else {
            format!("SIG{name}").parse::<Signal>().ok().map(|signal| signal as i32)
        };
        number.map(Self).ok_or_else(refused)
    }
}

impl TryFrom<String> for SignalName {
    type Error = SignalNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<SignalName> for String {
    fn from(signal: SignalName) -> Self {
        signal.to_string()
    }
}

impl fmt::Display for SignalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Signal::try_from(self.0) {
            Ok(signal) => f.write_str(signal.as_str()),
            Err(_) => write!(f, "SIGRTMIN+{}", self.0.saturating_sub(RTMIN)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_understood() {
        for (text, number) in [
            ("15", 15),
            ("TERM", 15),
            ("SIGTERM", 15),
            ("sigint", 2),
            ("SIGRTMIN", 34),
            ("RTMIN+3", 37),
            ("SIGRTMAX-1", 63),
            ("WINCH", 28),
        ] {
            assert_eq!(text.parse::<SignalName>().unwrap().number(), number, "{text}");
        }
        for text in ["", "0", "65", "-9", "SIGNOPE", "RTMIN+31", "RTMAX+1", "SIG"] {
            assert!(text.parse::<SignalName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_text_can_be_parsed_again() {
        for number in (1..32).chain(34..=64) {
            let signal = SignalName(number);
            assert_eq!(signal.to_string().parse(), Ok(signal));
        }
    }
}
