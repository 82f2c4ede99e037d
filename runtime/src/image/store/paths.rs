//! Where everything is.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::image::{Digest, ImageError};

/// The store's directory and the names in it.
#[derive(Clone, Debug)]
pub(in crate::image) struct Paths {
    base: PathBuf,
}

impl Paths {
    /// Makes what is missing.
    pub(super) fn open(root: &Path) -> Result<Self, ImageError> {
        let paths = Self { base: root.join("image") };
        for directory in [paths.blobs(), paths.layers(), paths.merged(), paths.staging()] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o711)
                .create(&directory)
                .map_err(ImageError::io("create", &directory))?;
        }
        Ok(paths)
    }

    /// The whole store.
    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    pub(super) fn catalog(&self) -> PathBuf {
        self.base.join("repositories.json")
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.base.join("lock")
    }

    pub(super) fn staging(&self) -> PathBuf {
        self.base.join("staging")
    }

    pub(super) fn blobs(&self) -> PathBuf {
        self.base.join("blobs/sha256")
    }

    pub(super) fn layers(&self) -> PathBuf {
        self.base.join("layers")
    }

    pub(super) fn merged(&self) -> PathBuf {
        self.base.join("merged")
    }

    /// A config or manifest.
    pub(in crate::image) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    /// A layer's directory.
    pub(in crate::image) fn layer(&self, diff_id: &Digest) -> PathBuf {
        self.layers().join(diff_id.hex())
    }

    /// The directory of a stack of layers' metadata image.
    pub(in crate::image) fn merged_stack(&self, stack: &Digest) -> PathBuf {
        self.merged().join(stack.hex())
    }
}
