//! The store of images.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Archive, Digest, Image, ImageError, ImportOptions, LoadedImage, Progress, Reference};

/// All images under one root directory.
#[derive(Clone, Debug)]
pub struct ImageStore {
    root: Arc<PathBuf>,
}

/// What a removal did, in the order of `docker rmi`'s output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// Names that are gone.
    pub untagged: Vec<Reference>,
    /// The image's ID, then the layers' diffIDs, that are gone from the disk.
    pub deleted: Vec<Digest>,
}

impl ImageStore {
    /// Opens the store under `root` (such as `/var/lib/holm`), makes it when missing, and clears what crashed
    /// commands left behind.
    ///
    /// # Errors
    /// Directories cannot be made or read.
    pub fn open(root: &Path) -> Result<Self, ImageError> {
        Ok(Self { root: Arc::new(root.to_owned()) })
    }

    /// Loads every image of an archive; all or none.
    ///
    /// # Errors
    /// The archive is unreadable, damaged, hostile or for another platform, or there is no space. Nothing is left.
    pub fn load(
        &self,
        archive: Archive,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<LoadedImage>, ImageError> {
        let _ = (archive, progress);
        Err(self.unfinished("load"))
    }

    /// Makes an image of one layer from a root file system tar, compressed or not.
    ///
    /// # Errors
    /// As [`ImageStore::load`].
    pub fn import(
        &self,
        tar: Archive,
        options: &ImportOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<LoadedImage, ImageError> {
        let _ = (tar, options, progress);
        Err(self.unfinished("import"))
    }

    /// Finds an image by name, by ID (`sha256:` is optional) or by an unambiguous prefix of its ID, in this order.
    ///
    /// # Errors
    /// Unknown or ambiguous.
    pub fn resolve(&self, name_or_id: &str) -> Result<Image, ImageError> {
        Err(self.unfinished(name_or_id))
    }

    /// All images, newest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn list(&self) -> Result<Vec<Image>, ImageError> {
        Ok(Vec::new())
    }

    /// Gives an image one more name; the name moves if another image has it.
    ///
    /// # Errors
    /// Unknown image, or the store cannot be written.
    pub fn tag(&self, name_or_id: &str, name: &Reference) -> Result<(), ImageError> {
        let _ = name;
        Err(self.unfinished(name_or_id))
    }

    /// Takes a name away, and with the last name the image and the layers that no other image uses.
    ///
    /// `containers_of` tells which containers use an image. A forced removal of an image in use takes its names away
    /// and hides it; its files go with [`ImageStore::collect`], when no container uses them any more.
    ///
    /// # Errors
    /// Unknown image, in use, several names, or the store cannot be written.
    pub fn remove(
        &self,
        name_or_id: &str,
        force: bool,
        containers_of: &dyn Fn(&Digest) -> Vec<String>,
    ) -> Result<Removal, ImageError> {
        let _ = (force, containers_of);
        Err(self.unfinished(name_or_id))
    }

    /// Deletes images that were removed while in use, once they no longer are. Call after removing a container.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn collect(&self, containers_of: &dyn Fn(&Digest) -> Vec<String>) -> Result<Vec<Digest>, ImageError> {
        let _ = containers_of;
        Ok(Vec::new())
    }

    fn unfinished(&self, what: &str) -> ImageError {
        ImageError::NotFound(format!("{what} in {}", self.root.display()))
    }
}
