//! Staging directories: where layers and blobs are made, on the store's own file system, before they are renamed into
//! place. Each has a lock file that its process holds; what nobody holds was left by a crash.
//!
//! A layer that is in the store already is linked into the staging directory, so that no removal can take it away
//! before it is named in the catalog.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::lock::StoreLock;
use super::paths::Paths;
use crate::durable;
use crate::image::layer::LayerError;
use crate::image::layer::blob::BLOCK_BYTES;
use crate::image::layer::file;
use crate::image::layer::tree::LayerTree;
use crate::image::{Digest, ImageError};

/// One operation's files; gone when dropped.
pub(in crate::image) struct Staging {
    paths: Paths,
    path: PathBuf,
    _lock: File,
}

impl Staging {
    pub(in crate::image) fn new(paths: &Paths) -> Result<Self, ImageError> {
        let parent = paths.staging();
        let guard = StoreLock::take(paths)?;
        holm_faults::fault!("image.staging.create")
            .map_err(ImageError::io("create a directory in", &parent))?;
        let path = tempfile::Builder::new()
            .prefix("op-")
            .tempdir_in(&parent)
            .map_err(ImageError::io("create a directory in", &parent))?
            .keep();
        holm_faults::crash!("image.staging.created");
        let lock_path = path.join("lock");
        let lock = File::create(&lock_path).map_err(ImageError::io("create", &lock_path))?;
        lock.lock().map_err(ImageError::io("lock", &lock_path))?;
        drop(guard);
        holm_faults::crash!("image.staging.locked");
        for kind in ["layers", "blobs", "merged"] {
            let directory = path.join(kind);
            holm_faults::fault!("image.staging.directory")
                .and_then(|()| fs::create_dir(&directory))
                .map_err(ImageError::io("create", &directory))?;
        }
        Ok(Self { paths: paths.clone(), path, _lock: lock })
    }

    pub(in crate::image) fn paths(&self) -> &Paths {
        &self.paths
    }

    /// A path for a file of one's own.
    pub(in crate::image) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(in crate::image) fn layer(&self, diff_id: &Digest) -> PathBuf {
        self.path.join("layers").join(diff_id.hex())
    }

    pub(in crate::image) fn merged(&self, stack: &Digest) -> PathBuf {
        self.path.join("merged").join(stack.hex())
    }

    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        self.path.join("blobs").join(digest.hex())
    }

    /// Takes over a layer that is in the store; `None` when it is not, or damaged.
    pub(in crate::image) fn adopt(&self, diff_id: &Digest) -> Result<Option<LayerTree>, ImageError> {
        let (from, to) = (self.paths.layer(diff_id), self.layer(diff_id));
        let Ok(tree) = read_layer(&from) else { return Ok(None) };
        holm_faults::fault!("image.adopt.create")
            .and_then(|()| fs::create_dir(&to))
            .map_err(ImageError::io("create", &to))?;
        for name in ["data", "tree", "recipe"] {
            if fs::hard_link(from.join(name), to.join(name)).is_err() {
                // Removed at this moment; or it is of a store that had no recipes, and is made again.
                durable::remove(&to).map_err(ImageError::io("remove", &to))?;
                return Ok(None);
            }
        }
        holm_faults::crash!("image.adopt.linked");
        Ok(Some(tree))
    }

    /// Adds a config or manifest.
    pub(in crate::image) fn put_blob(&self, bytes: &[u8]) -> Result<Digest, ImageError> {
        let digest = Digest::of(bytes);
        let path = self.blob(&digest);
        holm_faults::fault!("image.blob.write")
            .and_then(|()| durable::write(&path, bytes))
            .map_err(ImageError::io("write", &path))?;
        Ok(digest)
    }

    /// Renames everything into the store. The lock is the caller's, for the catalog names it all in the same step.
    pub(super) fn publish(&self, _lock: &StoreLock) -> Result<(), ImageError> {
        for (kind, target) in
            [("blobs", self.paths.blobs()), ("layers", self.paths.layers()), ("merged", self.paths.merged())]
        {
            let source = self.path.join(kind);
            for entry in fs::read_dir(&source).map_err(ImageError::io("read", &source))? {
                let entry = entry.map_err(ImageError::io("read", &source))?;
                let (from, to) = (entry.path(), target.join(entry.file_name()));
                if is_adopted(&from, &to) {
                    continue;
                }
                holm_faults::crash!("image.publish.begin");
                sync_if_directory(&from)?;
                holm_faults::fault!("image.publish.move").map_err(ImageError::io("move into place", &to))?;
                replace(&from, &to)?;
                holm_faults::crash!("image.publish.moved");
            }
            holm_faults::fault!("image.publish.sync")
                .and_then(|()| durable::sync_directory(&target))
                .map_err(ImageError::io("sync", &target))?;
        }
        Ok(())
    }
}

/// Moves a file or directory into place. What was there comes here in exchange, and goes with the staging directory;
/// whoever has it open keeps it, and it has the same content.
fn replace(from: &Path, to: &Path) -> Result<(), ImageError> {
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_EXCHANGE) {
        Ok(()) => Ok(()),
        Err(Errno::ENOENT) => fs::rename(from, to).map_err(ImageError::io("move into place", to)),
        // A file system that cannot exchange.
        Err(Errno::EINVAL) => durable::remove(to)
            .and_then(|()| fs::rename(from, to))
            .map_err(ImageError::io("move into place", to)),
        Err(error) => Err(ImageError::io("move into place", to)(error.into())),
    }
}

/// Whether a staged layer was adopted from this very place.
fn is_adopted(from: &Path, to: &Path) -> bool {
    let inode = |path: &Path| fs::metadata(path.join("data")).ok().map(|file| (file.dev(), file.ino()));
    inode(from).is_some_and(|from| Some(from) == inode(to))
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) =
            holm_faults::fault!("image.staging.remove").and_then(|()| durable::remove(&self.path))
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove a staging directory");
        }
    }
}

/// Syncs a directory's own entries; its files were synced when they were written.
fn sync_if_directory(path: &Path) -> Result<(), ImageError> {
    if path.is_dir() { durable::sync_directory(path).map_err(ImageError::io("sync", path)) } else { Ok(()) }
}

/// A layer of the store, if it is whole: a crash of the host may have cut a file short.
pub(in crate::image) fn read_layer(directory: &Path) -> Result<LayerTree, LayerError> {
    let tree = file::read(&directory.join("tree"))?;
    let length =
        fs::metadata(directory.join("data")).map_err(|error| LayerError::Store("read", error))?.len();
    if length != u64::from(tree.data_blocks) * BLOCK_BYTES {
        return Err(LayerError::Damaged("its data have another length"));
    }
    Ok(tree)
}

/// Removes staging directories that no process holds; whether there were any.
pub(super) fn clear_stale(paths: &Paths) -> Result<bool, ImageError> {
    // Usually there are none, and no reason to wait for the lock.
    if entries(paths)?.is_empty() {
        return Ok(false);
    }
    let _guard = StoreLock::take(paths)?;
    let stale = stale(paths)?;
    for path in &stale {
        tracing::info!(path = %path.display(), "clearing what a crash left");
        holm_faults::fault!("image.staging.clear")
            .and_then(|()| durable::remove(path))
            .map_err(ImageError::io("remove", path))?;
    }
    Ok(!stale.is_empty())
}

/// Staging directories that no process holds. The caller holds the store's lock.
pub(super) fn stale(paths: &Paths) -> Result<Vec<PathBuf>, ImageError> {
    let is_held = |path: &Path| File::open(path.join("lock")).is_ok_and(|lock| lock.try_lock().is_err());
    Ok(entries(paths)?.into_iter().filter(|path| !is_held(path)).collect())
}

fn entries(paths: &Paths) -> Result<Vec<PathBuf>, ImageError> {
    let parent = paths.staging();
    let entries = fs::read_dir(&parent).map_err(ImageError::io("read", &parent))?;
    Ok(entries.filter_map(Result::ok).map(|entry| entry.path()).collect())
}
