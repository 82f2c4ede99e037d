//! Where Holm is installed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Its guest kernel.
pub(crate) fn kernel() -> Result<PathBuf> {
    file("share/holm/vmlinux")
}

/// What its guests boot with.
pub(crate) fn initramfs() -> Result<PathBuf> {
    file("share/holm/initramfs.cpio")
}

/// Its VMM.
pub(crate) fn vmm() -> Result<PathBuf> {
    file("libexec/holm/holm-vmm")
}

fn file(path: &str) -> Result<PathBuf> {
    let holm = fs::canonicalize(find_in_path("holm")?)?;
    let prefix = holm.parent().and_then(Path::parent).context("holm's prefix")?;
    Ok(prefix.join(path))
}

fn find_in_path(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("{program} is not in PATH"))
}
