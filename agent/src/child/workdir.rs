//! The working directory of a process.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{chdir, getcwd};

use crate::fault::{At, Fault};

/// Makes the directory when it is missing (owned by root, as Docker does). In the container's root.
pub(crate) fn make(cwd: &str) -> Result<(), Fault> {
    if Path::new(cwd).is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(cwd)
        .refuse(format_args!("making working directory {cwd:?}"))
}

/// Enters the directory. Called before the change of user and, for directories that only the user may enter, after it.
pub(crate) fn enter(cwd: &str) -> nix::Result<()> {
    chdir(cwd)
}

/// Refuses a working directory outside of the root, which a leaked descriptor could lead to (CVE-2024-21626).
pub(crate) fn verify() -> Result<(), Fault> {
    match getcwd() {
        Ok(path) if path.is_absolute() => Ok(()),
        Ok(_) | Err(Errno::ENOENT) => {
            Err(Fault::invalid("the working directory is outside of the container"))
        }
        // Not readable on the way up is not outside.
        Err(_) => Ok(()),
    }
}
