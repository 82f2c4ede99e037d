//! `--log-opt max-size=20m` and `--log-opt max-file=5`: how much of a log is kept.

use super::quantity::{self, Units};

/// How much a container's log files may hold together: about `max_files` times `max_bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRotation {
    /// A file that has so many bytes is rotated before the next entry; `None` is without limit.
    pub max_bytes: Option<u64>,
    /// How many files there are at most, the current one included; at least 1.
    pub max_files: u32,
}

/// Why a limit is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LogRotationError {
    /// Not a number with an optional unit.
    #[error(
        "invalid max-size {0:?}: want a number with an optional unit k, m or g, such as 20m, or -1 for unlimited"
    )]
    Size(String),
    /// Nothing would fit.
    #[error("max-size must be a positive number")]
    SizeZero,
    /// Not a number of files.
    #[error("invalid max-file {0:?}: want a number from 1 to {MAX_FILES}")]
    Files(String),
}

/// More than this would not fit a process's open files when they are read.
const MAX_FILES: u32 = 1000;

impl Default for LogRotation {
    /// 100 MB in all, where Docker has no limit: no container fills the host's disk unless somebody allowed it.
    fn default() -> Self {
        Self { max_bytes: Some(20_000_000), max_files: 5 }
    }
}

impl LogRotation {
    /// Reads the values of both options; one that is not given is the default's.
    ///
    /// # Errors
    /// Says which value is refused and what it may be.
    pub fn parse(max_size: Option<&str>, max_file: Option<&str>) -> Result<Self, LogRotationError> {
        let default = Self::default();
        Ok(Self {
            max_bytes: max_size.map_or(Ok(default.max_bytes), parse_size)?,
            max_files: max_file.map_or(Ok(default.max_files), parse_files)?,
        })
    }
}

/// `None`: without limit.
fn parse_size(text: &str) -> Result<Option<u64>, LogRotationError> {
    if text == "-1" {
        return Ok(None);
    }
    let bytes =
        quantity::parse(text, Units::Decimal).ok_or_else(|| LogRotationError::Size(text.to_owned()))?;
    if bytes == 0 { Err(LogRotationError::SizeZero) } else { Ok(Some(bytes)) }
}

fn parse_files(text: &str) -> Result<u32, LogRotationError> {
    let number = text.parse().ok().filter(|number| (1..=MAX_FILES).contains(number));
    number.ok_or_else(|| LogRotationError::Files(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_dockers() {
        for (text, bytes) in [
            ("10m", 10_000_000),
            ("10MB", 10_000_000),
            ("1.5k", 1500),
            ("1", 1),
            ("100b", 100),
            ("2 g", 2_000_000_000),
        ] {
            assert_eq!(parse_size(text), Ok(Some(bytes)), "{text}");
        }
        assert_eq!(parse_size("-1"), Ok(None));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "m", "-2", "1.", ".5", "10x", "1e3", "99999999999999t", "1..2", "+1", "10 MiB"] {
            assert_eq!(parse_size(text), Err(LogRotationError::Size(text.into())), "{text}");
        }
        assert_eq!(parse_size("0"), Err(LogRotationError::SizeZero));
        for text in ["", "0", "-1", "1.5", "1001", "many"] {
            assert_eq!(parse_files(text), Err(LogRotationError::Files(text.into())), "{text}");
        }
    }

    #[test]
    fn what_is_not_given_is_bounded_all_the_same() {
        assert_eq!(LogRotation::parse(None, None), Ok(LogRotation::default()));
        let only_files = LogRotation::parse(None, Some("2")).unwrap();
        assert_eq!(only_files, LogRotation { max_files: 2, ..LogRotation::default() });
    }
}
