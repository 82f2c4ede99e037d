//! `--cpuset-cpus 0-3,8`: processors of the host.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The highest number of a processor that sched_setaffinity(2) takes.
const MAX_CPU: usize = 1023;

/// Processors of the host, in the list format of cpuset(7); at least one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CpuList {
    /// As it was written.
    text: String,
    cpus: BTreeSet<usize>,
}

/// Why a list is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CpuListError {
    /// Not numbers and ranges.
    #[error("invalid list of CPUs {0:?}: want numbers and ranges such as 0-3,8")]
    Malformed(String),
}

impl CpuList {
    /// The processors' numbers.
    #[must_use]
    pub const fn cpus(&self) -> &BTreeSet<usize> {
        &self.cpus
    }
}

impl FromStr for CpuList {
    type Err = CpuListError;

    fn from_str(text: &str) -> Result<Self, CpuListError> {
        let malformed = || CpuListError::Malformed(text.to_owned());
        let number = |text: &str| {
            let number = text.parse::<usize>().ok();
            number.filter(|cpu| *cpu <= MAX_CPU).ok_or_else(malformed)
        };
        let mut cpus = BTreeSet::new();
        for part in text.trim().split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let range = number(first)?..=number(last)?;
            if range.is_empty() {
                return Err(malformed());
            }
            cpus.extend(range);
        }
        Ok(Self { text: text.trim().to_owned(), cpus })
    }
}

impl TryFrom<String> for CpuList {
    type Error = CpuListError;

    fn try_from(text: String) -> Result<Self, CpuListError> {
        text.parse()
    }
}

impl From<CpuList> for String {
    fn from(list: CpuList) -> Self {
        list.text
    }
}

impl fmt::Display for CpuList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges_are_processors() {
        let list: CpuList = "0-2,5,1".parse().unwrap();
        assert_eq!(list.cpus().iter().copied().collect::<Vec<_>>(), [0, 1, 2, 5]);
        assert_eq!(serde_json::to_string(&list).unwrap(), "\"0-2,5,1\"");
        assert_eq!(serde_json::from_str::<CpuList>("\"0-2,5,1\"").unwrap(), list);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", ",", "a", "1-", "-1", "2-1", "1024", "0-9999999999999", "1;2"] {
            assert_eq!(text.parse::<CpuList>(), Err(CpuListError::Malformed(text.to_owned())), "{text}");
        }
    }
}
