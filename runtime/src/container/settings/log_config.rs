//! `--log-driver` and `--log-opt`: what becomes of a container's output.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::log_driver::LogDriver;
use super::log_rotation::{LogRotation, LogRotationError};
use super::log_tag::{LogTag, LogTagError};

/// A driver with the options that it takes. Serialised with the names of Docker's `HostConfig.LogConfig`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct LogConfig {
    driver: LogDriver,
    options: BTreeMap<String, String>,
}

/// What the record holds.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Unchecked {
    r#type: LogDriver,
    #[serde(default)]
    config: BTreeMap<String, String>,
}

/// One `--log-opt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOption {
    key: String,
    value: String,
}

/// Why a log option is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LogConfigError {
    /// Not `key=value`.
    #[error("invalid log opt {0:?}: want KEY=VALUE")]
    Malformed(String),
    /// The driver takes no options at all.
    #[error("invalid logging opts for driver none")]
    NoneTakesNone,
    /// The driver has no such option.
    #[error("unknown log opt '{key}' for {driver} log driver: want {}", known(*driver).join(", "))]
    Unknown {
        /// The option's name.
        key: String,
        /// The driver.
        driver: LogDriver,
    },
    /// Old files are kept as they are.
    #[error("invalid log opt compress={0}: compressing is not supported; leave it out or say compress=false")]
    Compress(String),
    /// A limit of the files.
    #[error(transparent)]
    Rotation(#[from] LogRotationError),
    /// The tag.
    #[error(transparent)]
    Tag(#[from] LogTagError),
}

fn known(driver: LogDriver) -> &'static [&'static str] {
    match driver {
        LogDriver::JsonFile => &["max-size", "max-file", "compress", "tag"],
        LogDriver::Journald => &["tag"],
        LogDriver::None => &[],
    }
}

impl LogConfig {
    /// Puts the options together, the last of each name, and checks them.
    ///
    /// # Errors
    /// Names the option that the driver does not have, or whose value it refuses.
    pub fn new(driver: LogDriver, options: Vec<LogOption>) -> Result<Self, LogConfigError> {
        Self::checked(driver, options.into_iter().map(|option| (option.key, option.value)).collect())
    }

    fn checked(driver: LogDriver, options: BTreeMap<String, String>) -> Result<Self, LogConfigError> {
        if driver == LogDriver::None && !options.is_empty() {
            return Err(LogConfigError::NoneTakesNone);
        }
        if let Some(key) = options.keys().find(|key| !known(driver).contains(&key.as_str())) {
            return Err(LogConfigError::Unknown { key: key.clone(), driver });
        }
        let config = Self { driver, options };
        config.parse_rotation()?;
        config.parse_tag()?;
        match config.option("compress") {
            None | Some("false") => Ok(config),
            Some(other) => Err(LogConfigError::Compress(other.to_owned())),
        }
    }

    /// The driver.
    #[must_use]
    pub fn driver(&self) -> LogDriver {
        self.driver
    }

    /// How much the files of the json-file driver hold.
    #[must_use]
    pub fn rotation(&self) -> LogRotation {
        // Checked when this was made.
        self.parse_rotation().unwrap_or_default()
    }

    /// `--log-opt tag`; none is Docker's default of the driver.
    #[must_use]
    pub fn tag(&self) -> Option<LogTag> {
        self.parse_tag().ok().flatten()
    }

    fn option(&self, key: &str) -> Option<&str> {
        self.options.get(key).map(String::as_str)
    }

    fn parse_rotation(&self) -> Result<LogRotation, LogRotationError> {
        LogRotation::parse(self.option("max-size"), self.option("max-file"))
    }

    fn parse_tag(&self) -> Result<Option<LogTag>, LogTagError> {
        self.option("tag").filter(|tag| !tag.is_empty()).map(str::parse).transpose()
    }
}

impl TryFrom<Unchecked> for LogConfig {
    type Error = LogConfigError;

    fn try_from(unchecked: Unchecked) -> Result<Self, LogConfigError> {
        Self::checked(unchecked.r#type, unchecked.config)
    }
}

impl From<LogConfig> for Unchecked {
    fn from(config: LogConfig) -> Self {
        Self { r#type: config.driver, config: config.options }
    }
}

impl LogOption {
    /// `key=value`.
    pub(crate) fn new(key: String, value: String) -> Self {
        Self { key, value }
    }
}

impl FromStr for LogOption {
    type Err = LogConfigError;

    fn from_str(text: &str) -> Result<Self, LogConfigError> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                Ok(Self { key: key.to_owned(), value: value.to_owned() })
            }
            _ => Err(LogConfigError::Malformed(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(driver: LogDriver, options: &[&str]) -> Result<LogConfig, LogConfigError> {
        LogConfig::new(driver, options.iter().map(|option| option.parse().unwrap()).collect())
    }

    #[test]
    fn the_record_reads_as_dockers() {
        let config = config(LogDriver::JsonFile, &["max-size=1m", "max-size=10m", "max-file=3"]).unwrap();
        let json = r#"{"Type":"json-file","Config":{"max-file":"3","max-size":"10m"}}"#;
        assert_eq!(serde_json::to_string(&config).unwrap(), json);
        assert_eq!(serde_json::from_str::<LogConfig>(json).unwrap(), config);
        assert_eq!(config.rotation(), LogRotation { max_bytes: Some(10_000_000), max_files: 3 });
        let bad = r#"{"Type":"json-file","Config":{"max-size":"x"}}"#;
        assert!(serde_json::from_str::<LogConfig>(bad).is_err());
    }

    #[test]
    fn each_driver_has_its_own_options() {
        assert!(config(LogDriver::Journald, &["tag={{.Name}}"]).unwrap().tag().is_some());
        assert_eq!(config(LogDriver::None, &["tag=x"]), Err(LogConfigError::NoneTakesNone));
        let error = config(LogDriver::Journald, &["max-size=1m"]).unwrap_err();
        assert_eq!(error.to_string(), "unknown log opt 'max-size' for journald log driver: want tag");
        assert!(matches!(config(LogDriver::JsonFile, &["lables=x"]), Err(LogConfigError::Unknown { .. })));
    }

    #[test]
    fn values_are_checked() {
        assert!(config(LogDriver::JsonFile, &["compress=false", "tag="]).is_ok());
        assert!(matches!(config(LogDriver::JsonFile, &["compress=true"]), Err(LogConfigError::Compress(_))));
        assert!(matches!(config(LogDriver::JsonFile, &["max-file=0"]), Err(LogConfigError::Rotation(_))));
        assert!(matches!(config(LogDriver::JsonFile, &["tag={{x}}"]), Err(LogConfigError::Tag(_))));
        for text in ["max-size", "=1", ""] {
            assert_eq!(text.parse::<LogOption>(), Err(LogConfigError::Malformed(text.into())));
        }
    }
}
