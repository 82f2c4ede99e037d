//! `--tmpfs /run:size=64m,mode=1777`: a directory in memory.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A tmpfs over one directory of the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TmpfsMount {
    /// Absolute path in the container.
    pub destination: String,
    /// mount(8) options, Docker's defaults (`noexec,nosuid,nodev`) first, the user's after them.
    pub options: Vec<String>,
}

/// Why a tmpfs is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TmpfsMountError {
    /// Not absolute.
    #[error("invalid mount path {0:?}: mount path must be absolute")]
    NotAbsolute(String),
    /// The container's root itself.
    #[error("invalid specification: destination can't be '/'")]
    Root,
    /// Not an option of tmpfs.
    #[error("invalid tmpfs option {0:?}")]
    Option(String),
}

const FLAGS: &[&str] = &[
    "ro",
    "rw",
    "exec",
    "noexec",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "sync",
    "async",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
    "dirsync",
];
const VALUES: &[&str] = &["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"];

impl FromStr for TmpfsMount {
    type Err = TmpfsMountError;

    fn from_str(text: &str) -> Result<Self, TmpfsMountError> {
        let (destination, given) = text.split_once(':').unwrap_or((text, ""));
        if !destination.starts_with('/') {
            return Err(TmpfsMountError::NotAbsolute(destination.to_owned()));
        }
        if destination.split('/').all(|part| part.is_empty() || part == ".") {
            return Err(TmpfsMountError::Root);
        }
        let mut options = ["noexec", "nosuid", "nodev"].map(str::to_owned).to_vec();
        for option in given.split(',').filter(|option| !option.is_empty()) {
            let known = match option.split_once('=') {
                Some((key, value)) => VALUES.contains(&key) && !value.is_empty(),
                None => FLAGS.contains(&option),
            };
            if !known {
                return Err(TmpfsMountError::Option(option.to_owned()));
            }
            options.push(option.to_owned());
        }
        Ok(Self { destination: destination.to_owned(), options })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_options_follow_dockers() {
        let mount: TmpfsMount = "/run:size=64m,exec".parse().unwrap();
        assert_eq!(mount.destination, "/run");
        assert_eq!(mount.options, ["noexec", "nosuid", "nodev", "size=64m", "exec"]);
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!("run".parse::<TmpfsMount>(), Err(TmpfsMountError::NotAbsolute("run".into())));
        assert_eq!("/:ro".parse::<TmpfsMount>(), Err(TmpfsMountError::Root));
        assert_eq!("/a:bind".parse::<TmpfsMount>(), Err(TmpfsMountError::Option("bind".into())));
        assert_eq!("/a:size".parse::<TmpfsMount>(), Err(TmpfsMountError::Option("size".into())));
    }
}
