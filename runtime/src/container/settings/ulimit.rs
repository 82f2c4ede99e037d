//! `--ulimit nofile=1024:2048`: a resource limit of the workload.

use std::str::FromStr;

use oci_spec::runtime::PosixRlimitType;
use serde::{Deserialize, Serialize};

/// One resource limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Ulimit {
    /// Docker's name: `nofile`, `nproc`, ...
    pub name: String,
    /// What the process gets.
    pub soft: u64,
    /// How far it may raise it; `u64::MAX` is unlimited.
    pub hard: u64,
}

/// Why a limit is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UlimitError {
    /// Not `name=soft[:hard]`.
    #[error("invalid ulimit argument {0:?}: want NAME=SOFT[:HARD]")]
    Malformed(String),
    /// No such limit.
    #[error("invalid ulimit type: {0}")]
    Unknown(String),
    /// Soft above hard.
    #[error("ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")]
    Order {
        /// Soft limit.
        soft: u64,
        /// Hard limit.
        hard: u64,
    },
}

impl Ulimit {
    /// The OCI name of the limit; `None` for a name that does not exist.
    #[must_use]
    pub fn rlimit_type(&self) -> Option<PosixRlimitType> {
        let upper = format!("RLIMIT_{}", self.name.to_ascii_uppercase());
        upper.parse().ok()
    }
}

impl FromStr for Ulimit {
    type Err = UlimitError;

    fn from_str(text: &str) -> Result<Self, UlimitError> {
        let malformed = || UlimitError::Malformed(text.to_owned());
        let (name, limits) = text.split_once('=').ok_or_else(malformed)?;
        let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
        let number = |part: &str| match part {
            "-1" | "unlimited" => Ok(u64::MAX),
            _ => part.parse::<u64>().map_err(|_| malformed()),
        };
        let limit = Self { name: name.to_owned(), soft: number(soft)?, hard: number(hard)? };
        if limit.rlimit_type().is_none() {
            return Err(UlimitError::Unknown(limit.name));
        }
        if limit.soft > limit.hard {
            return Err(UlimitError::Order { soft: limit.soft, hard: limit.hard });
        }
        Ok(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_sets_both() {
        let limit: Ulimit = "nofile=1024".parse().unwrap();
        assert_eq!((limit.soft, limit.hard), (1024, 1024));
        assert_eq!(limit.rlimit_type(), Some(PosixRlimitType::RlimitNofile));
        assert_eq!("core=-1".parse::<Ulimit>().unwrap().hard, u64::MAX);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(matches!("nofile".parse::<Ulimit>(), Err(UlimitError::Malformed(_))));
        assert!(matches!("nofile=a".parse::<Ulimit>(), Err(UlimitError::Malformed(_))));
        assert_eq!("files=1".parse::<Ulimit>(), Err(UlimitError::Unknown("files".into())));
        assert_eq!("nofile=2:1".parse::<Ulimit>(), Err(UlimitError::Order { soft: 2, hard: 1 }));
    }
}
