//! What commands give up before they read archives, what registries answer, or the layer of a container: from then on they change the
//! store of images, and have nothing else of the host's.
//!
//! Threads: to be called while there is one only. Those of layers, of the HTTP client and of signals come later, and have as little.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use holm_runtime::host::{Left, OfOthers, confine};
use holm_runtime::image::{Archive, ImageStore, Reference};
use holm_runtime::registry::{Registries, resolver_files};
use rustix::process::geteuid;

/// Leaves the store.
///
/// # Errors
/// The host refuses.
pub(crate) fn to_store(store: &ImageStore) -> Result<()> {
    confine_to(store, &Left::default())
}

/// Leaves the store, and the files of an archive that is a directory.
///
/// # Errors
/// The host refuses.
pub(crate) fn to_archive(store: &ImageStore, archive: &Archive) -> Result<()> {
    let directory = archive.directory();
    // Root loads what belongs to others, too.
    let of_others = directory.map_or(OfOthers::Nothing, |_| OfOthers::Reading);
    let readable: Vec<_> = directory.into_iter().collect();
    confine_to(store, &Left { readable: &readable, of_others, ..Left::default() })
}

/// Leaves the store, and connections to registries. What these take of the host, this name's has by then.
///
/// # Errors
/// Credentials or certificates cannot be had, or the host refuses.
pub(crate) fn to_registry(store: &ImageStore, registries: &Registries, name: &Reference) -> Result<()> {
    registries.prepare(name)?;
    confine_to(store, &Left { readable: &resolver_files(), connections: true, ..Left::default() })
}

fn confine_to(store: &ImageStore, left: &Left<'_>) -> Result<()> {
    let directories = store.directories();
    let directories: Vec<&Path> = directories.iter().map(PathBuf::as_path).collect();
    let user = geteuid().as_raw();
    // Root may have been told to use a store of another, or one in the home of another.
    let is_own = directories.iter().all(|path| is_own(path, user));
    let of_others = if is_own { left.of_others } else { OfOthers::Everything };
    Ok(confine(&Left { directories: &directories, of_others, ..*left })?)
}

/// Whether this user has a directory, and gets to it, without any capability.
fn is_own(path: &Path, user: u32) -> bool {
    let lets_in = |path: &Path, others: u32| {
        fs::metadata(path).is_ok_and(|found| found.uid() == user || found.mode() & others != 0)
    };
    let Ok(path) = fs::canonicalize(path) else { return false };
    lets_in(&path, 0) && path.ancestors().skip(1).all(|above| lets_in(above, 0o001))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_of_whoever_owns_it() {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("store");
        fs::create_dir(&store).unwrap();
        let user = geteuid().as_raw();
        assert!(is_own(&store, user));
        assert!(!is_own(&store, user + 1) && !is_own(&directory.path().join("missing"), user));
    }
}
