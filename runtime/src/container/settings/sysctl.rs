//! `--sysctl net.core.somaxconn=1024`: a kernel parameter of the container's own namespaces.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One kernel parameter. The guest has a kernel of its own, yet only parameters that belong to the container's
/// namespaces are taken, as in Docker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Sysctl {
    /// Dotted name.
    pub name: String,
    /// What is written.
    pub value: String,
}

/// Why a parameter is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SysctlError {
    /// Not `name=value`.
    #[error("invalid sysctl {0:?}: want NAME=VALUE")]
    Malformed(String),
    /// Not in a namespace of the container.
    #[error("sysctl '{0}' is not allowed")]
    NotNamespaced(String),
}

const NAMESPACED: &[&str] = &[
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];
const NAMESPACED_PREFIXES: &[&str] = &["net.", "fs.mqueue."];

impl FromStr for Sysctl {
    type Err = SysctlError;

    fn from_str(text: &str) -> Result<Self, SysctlError> {
        let (name, value) = text.split_once('=').ok_or_else(|| SysctlError::Malformed(text.to_owned()))?;
        let well_formed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/');
        if name.is_empty() || !name.bytes().all(well_formed) || name.split(['.', '/']).any(str::is_empty) {
            return Err(SysctlError::Malformed(text.to_owned()));
        }
        let allowed =
            NAMESPACED.contains(&name) || NAMESPACED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        if !allowed {
            return Err(SysctlError::NotNamespaced(name.to_owned()));
        }
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_namespaced_parameters_pass() {
        assert!("net.core.somaxconn=1024".parse::<Sysctl>().is_ok());
        assert!("kernel.shmmax=1".parse::<Sysctl>().is_ok());
        assert_eq!(
            "vm.swappiness=1".parse::<Sysctl>(),
            Err(SysctlError::NotNamespaced("vm.swappiness".into()))
        );
        for text in ["net.core", "=1", "net..core=1", "net.a b=1", "net../../x=1"] {
            assert!(matches!(text.parse::<Sysctl>(), Err(SysctlError::Malformed(_))), "{text}");
        }
    }
}
