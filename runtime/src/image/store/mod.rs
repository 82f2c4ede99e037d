//! The store of images, under `<root>/image`:
//!
//! ```text
//! repositories.json            the catalog: images, and names for them; what it does not name is garbage
//! blobs/sha256/<digest>        configs and manifests
//! layers/<diffID>/{data,tree,recipe}  one layer, shared by all images that have it
//! merged/<stack>/              metadata image of a stack of layers, and what its disk is made of
//! staging/op-*/                what is being made; renamed into place when complete
//! lock                         see below
//! ```
//!
//! Files appear in the store complete and synced, by rename, before the catalog names them, and the catalog is synced
//! before they vanish. So a crash leaves garbage at most, which the next command clears.
//!
//! Locking: `lock` is held, exclusively and briefly, to change the catalog and to move files in and out. Reading
//! archives and merging happens outside of it, in a staging directory. Readers take no lock: the catalog changes
//! atomically, and an image that is removed meanwhile is not found.

mod catalog;
mod check;
mod lock;
mod lookup;
mod note;
mod paths;
mod remove;
pub(super) mod staging;

use std::io::Read;
use std::path::{Path, PathBuf};

pub(super) use paths::Paths;
pub(super) use staging::Staging;

use self::catalog::{Catalog, Record};
use self::lock::StoreLock;
use super::layer::tree::LayerTree;
use super::{
    Archive, CommitOptions, Digest, Image, ImageError, ImportOptions, LayerLimits, LoadedImage, Progress,
    Pulled, PushReport, Pushed, Reference, Selection,
};
use super::{commit, import, load, remote, rootfs, save};
use crate::check::{Depth, Finding};
use crate::host::disk_usage_bytes;
use crate::registry::Registries;

/// All images under one root directory.
#[derive(Clone, Debug)]
pub struct ImageStore {
    paths: Paths,
    limits: LayerLimits,
}

/// What a removal did, in the order of `docker rmi`'s output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// Names that are gone.
    pub untagged: Vec<Reference>,
    /// The image's ID, then the layers' diffIDs, that are gone from the disk.
    pub deleted: Vec<Digest>,
    /// What their files took on the disk.
    pub freed_bytes: u64,
}

/// An image whose files are in a staging directory.
pub(super) struct NewImage {
    pub(super) id: Digest,
    pub(super) names: Vec<Reference>,
    /// Names by digest that a registry gave it under.
    pub(super) pins: Vec<Reference>,
    pub(super) manifest: Option<Digest>,
    pub(super) layers: Vec<Digest>,
    pub(super) size_bytes: u64,
}

impl ImageStore {
    /// Opens the store under `root` (such as `/var/lib/holm`), makes it when missing, and clears what crashed
    /// commands left behind.
    ///
    /// # Errors
    /// Directories cannot be made or read.
    pub fn open(root: &Path) -> Result<Self, ImageError> {
        let store = Self::open_as_is(root)?;
        if staging::clear_stale(&store.paths)? {
            let lock = StoreLock::take(&store.paths)?;
            remove::sweep(&store.paths, &Catalog::read(&store.paths)?, &lock)?;
        }
        Ok(store)
    }

    /// The directories below which is all that a change of the store writes: its own, and that of the journal of events.
    #[must_use]
    pub fn directories(&self) -> Vec<PathBuf> {
        let journal = self.journal().map(|journal| journal.directory().to_owned());
        std::iter::once(self.paths.base().to_owned()).chain(journal).collect()
    }

    /// Sets other bounds on layers than the default ones.
    #[must_use]
    pub fn with_limits(self, limits: LayerLimits) -> Self {
        Self { limits, ..self }
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
        let staging = Staging::new(&self.paths)?;
        let images = load::stage(&staging, archive, &self.limits, progress)?;
        let loaded = self.commit(&staging, images)?;
        loaded.iter().for_each(|image| self.note_id("load", &image.id));
        Ok(loaded)
    }

    /// Pulls an image: gets its manifest by name and then the layers that the store has not. The name moves if another
    /// image has it.
    ///
    /// # Errors
    /// The registry cannot be used or has no such image for this host, content is not what its digest says, or there is
    /// no space. Nothing is left.
    pub fn pull(
        &self,
        registries: &Registries,
        name: &Reference,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Pulled, ImageError> {
        let id_of = |name: &str| self.resolve(name).ok().map(|image| image.id());
        let before = id_of(&name.to_string());
        let staging = Staging::new(&self.paths)?;
        let known = |id: &Digest| id_of(&id.to_string()).is_some();
        let (image, digest) = remote::stage(&staging, registries, name, &self.limits, &known, progress)?;
        let id = image.id;
        self.commit(&staging, vec![image])?;
        let labels = self.resolve(&id.to_string()).map(|image| image.labels());
        self.note_name("pull", name, labels.unwrap_or_default());
        Ok(Pulled { id, name: name.clone(), digest, is_new: before != Some(id) })
    }

    /// Pushes an image under a name.
    ///
    /// # Errors
    /// The registry cannot be used, a layer is damaged, or there is no space to compress it.
    pub fn push(
        &self,
        registries: &Registries,
        image: &Image,
        name: &Reference,
        report: &PushReport,
    ) -> Result<Pushed, ImageError> {
        let manifest = image.manifest().and_then(|digest| std::fs::read(self.paths.blob(&digest)).ok());
        let staging = Staging::new(&self.paths)?;
        let pushed = remote::push(&staging, registries, image, manifest.as_deref(), name, report)?;
        let _lock = StoreLock::take(&self.paths)?;
        let mut catalog = Catalog::read(&self.paths)?;
        // Removed meanwhile: then it has no names either.
        if catalog.images.get(&image.id()).is_some_and(|record| !record.removed) {
            catalog.names.insert(name.pinned_to(&pushed.digest).to_string(), image.id());
            catalog.write(&self.paths)?;
        }
        self.note_name("push", name, image.labels());
        Ok(pushed)
    }

    /// Writes images as an archive of the forms that [`ImageStore::load`] reads.
    ///
    /// # Errors
    /// A layer is damaged or was removed meanwhile, or `out` cannot be written.
    pub fn save(&self, selection: &Selection, out: &mut dyn std::io::Write) -> Result<(), ImageError> {
        save::save(selection, out)?;
        selection.images().iter().for_each(|(image, _)| self.note_image("save", image));
        Ok(())
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
        let staging = Staging::new(&self.paths)?;
        let image = import::stage(&staging, tar, options, &self.limits, progress)?;
        let imported = self.commit_one(&staging, image)?;
        self.note_id("import", &imported.id);
        Ok(imported)
    }

    /// Makes an image of `base` and one more layer, a tar as of image-spec layer.md.
    ///
    /// # Errors
    /// As [`ImageStore::load`]; or the base image is damaged.
    pub fn commit_layer(
        &self,
        base: &Image,
        tar: impl Read + Send,
        options: &CommitOptions,
    ) -> Result<LoadedImage, ImageError> {
        let staging = Staging::new(&self.paths)?;
        let image = commit::stage(&staging, base, tar, options, &self.limits)?;
        self.commit_one(&staging, image)
    }

    /// Finds an image by name, by ID (`sha256:` is optional) or by an unambiguous prefix of its ID, in this order.
    ///
    /// # Errors
    /// Unknown or ambiguous.
    pub fn resolve(&self, name_or_id: &str) -> Result<Image, ImageError> {
        lookup::resolve(&self.paths, name_or_id)
    }

    /// All images, newest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn list(&self) -> Result<Vec<Image>, ImageError> {
        lookup::list(&self.paths)
    }

    /// Gives an image one more name; the name moves if another image has it.
    ///
    /// # Errors
    /// Unknown image, a name with a digest, or the store cannot be written.
    pub fn tag(&self, name_or_id: &str, name: &Reference) -> Result<(), ImageError> {
        let _lock = StoreLock::take(&self.paths)?;
        let mut catalog = Catalog::read(&self.paths)?;
        let (id, _) = catalog.find(name_or_id)?;
        set_name(&mut catalog, name, id)?;
        catalog.write(&self.paths)?;
        holm_faults::crash!("image.tag.written");
        self.note_tag(&id, name);
        Ok(())
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
        let (id, removal) = remove::remove(&self.paths, name_or_id, force, containers_of)?;
        self.note_removal(&id, &removal);
        Ok(removal)
    }

    /// Deletes images that were removed while in use, once they no longer are. Call after removing a container.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn collect(&self, containers_of: &dyn Fn(&Digest) -> Vec<String>) -> Result<Vec<Digest>, ImageError> {
        let deleted = remove::collect(&self.paths, containers_of)?;
        deleted.images.iter().for_each(|id| self.note_id("delete", id));
        Ok([deleted.images, deleted.layers].concat())
    }

    /// Opens the store as it is: leftovers stay.
    pub(crate) fn open_as_is(root: &Path) -> Result<Self, ImageError> {
        Ok(Self { paths: Paths::open(root)?, limits: LayerLimits::default() })
    }

    /// Looks at everything under `root` without changing it.
    pub(crate) fn check(root: &Path, depth: Depth, found: &mut dyn FnMut(Finding)) -> Result<(), ImageError> {
        check::check(&Paths::open(root)?, depth, found)
    }

    /// Deletes what no image needs.
    pub(crate) fn sweep(&self) -> Result<(), ImageError> {
        let lock = StoreLock::take(&self.paths)?;
        remove::sweep(&self.paths, &Catalog::read(&self.paths)?, &lock)?;
        remove::delete_damaged_stacks(&self.paths)
    }

    /// What the whole store takes on the disk.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        disk_usage_bytes(self.paths.base())
    }

    /// What a layer takes on the disk; 0 when there is none.
    #[must_use]
    pub fn layer_disk_bytes(&self, diff_id: &Digest) -> u64 {
        disk_usage_bytes(&self.paths.layer(diff_id))
    }

    /// Where a layer is.
    #[cfg(test)]
    pub(super) fn paths_of_layer(&self, diff_id: &Digest) -> std::path::PathBuf {
        self.paths.layer(diff_id)
    }

    /// Makes the metadata image of layers that are in the store.
    pub(super) fn stage_merged(
        paths: &Paths,
        layers: &[Digest],
        tree_of: impl FnMut(&Digest) -> Result<LayerTree, ImageError>,
        image: &str,
    ) -> Result<(), ImageError> {
        let staging = Staging::new(paths)?;
        rootfs::stage(&staging, layers, tree_of, image)?;
        holm_faults::crash!("image.merge.publish");
        staging.publish(&StoreLock::take(paths)?)
    }

    fn commit_one(&self, staging: &Staging, image: NewImage) -> Result<LoadedImage, ImageError> {
        let id = image.id;
        let loaded = self.commit(staging, vec![image])?;
        loaded.into_iter().next().ok_or_else(|| ImageError::NotFound(id.to_string()))
    }

    /// Moves a staging directory's files into the store and names the images.
    fn commit(&self, staging: &Staging, images: Vec<NewImage>) -> Result<Vec<LoadedImage>, ImageError> {
        let lock = StoreLock::take(&self.paths)?;
        let mut catalog = Catalog::read(&self.paths)?;
        let mut loaded = Vec::new();
        for image in images {
            for name in &image.names {
                set_name(&mut catalog, name, image.id)?;
            }
            for pin in &image.pins {
                catalog.names.insert(pin.to_string(), image.id);
            }
            let known = catalog.images.get(&image.id).and_then(|record| record.manifest);
            let record = Record {
                manifest: image.manifest.or(known),
                layers: image.layers,
                size_bytes: image.size_bytes,
                removed: false,
            };
            catalog.images.insert(image.id, record);
            loaded.push(LoadedImage { id: image.id, names: image.names });
        }
        holm_faults::crash!("image.commit.locked");
        staging.publish(&lock)?;
        holm_faults::crash!("image.commit.published");
        catalog.write(&self.paths)?;
        holm_faults::crash!("image.commit.named");
        Ok(loaded)
    }
}

fn set_name(catalog: &mut Catalog, name: &Reference, id: Digest) -> Result<(), ImageError> {
    if name.digest().is_some() {
        return Err(ImageError::NotATag(name.familiar()));
    }
    catalog.names.insert(name.to_string(), id);
    Ok(())
}
