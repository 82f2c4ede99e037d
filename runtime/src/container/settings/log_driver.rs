//! `--log-driver json-file`: where a container's output is kept.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A logging driver, by Docker's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogDriver {
    /// Rotated files of JSON lines in the container's directory.
    #[default]
    JsonFile,
    /// The host's journal.
    Journald,
    /// Nowhere.
    None,
}

/// No driver has this name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("logger: no log driver named '{0}' is registered: want json-file, journald or none")]
pub struct LogDriverError(String);

impl FromStr for LogDriver {
    type Err = LogDriverError;

    fn from_str(text: &str) -> Result<Self, LogDriverError> {
        match text {
            "json-file" => Ok(Self::JsonFile),
            "journald" => Ok(Self::Journald),
            "none" => Ok(Self::None),
            _ => Err(LogDriverError(text.to_owned())),
        }
    }
}

impl fmt::Display for LogDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::JsonFile => "json-file",
            Self::Journald => "journald",
            Self::None => "none",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dockers_on_the_command_line_and_in_the_record() {
        for (name, driver) in
            [("json-file", LogDriver::JsonFile), ("journald", LogDriver::Journald), ("none", LogDriver::None)]
        {
            assert_eq!(name.parse(), Ok(driver));
            assert_eq!(driver.to_string(), name);
            assert_eq!(serde_json::to_value(driver).unwrap(), name);
        }
        assert_eq!("syslog".parse::<LogDriver>(), Err(LogDriverError("syslog".into())));
    }
}
