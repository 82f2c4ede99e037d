//! Removing names, images, and what nobody uses any more.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::Removal;
use super::catalog::Catalog;
use super::lock::StoreLock;
use super::paths::Paths;
use crate::durable;
use crate::host::disk_usage_bytes;
use crate::image::rootfs::{self, stack_id};
use crate::image::{Digest, ImageError, Reference};

pub(super) fn remove(
    paths: &Paths,
    name_or_id: &str,
    force: bool,
    containers_of: &dyn Fn(&Digest) -> Vec<String>,
) -> Result<(Digest, Removal), ImageError> {
    let lock = StoreLock::take(paths)?;
    let mut catalog = Catalog::read(paths)?;
    let (id, name) = catalog.find(name_or_id)?;
    let names = catalog.names_of(&id);
    // A name with a digest stands for the tag that it was found by; it takes the image's last name only.
    if let Some(name) = name.filter(|name| name.digest().is_none())
        && names.len() > 1
    {
        catalog.names.remove(&name.to_string());
        let mut untagged = catalog.drop_pins(&id, &name);
        untagged.insert(0, name);
        catalog.write(paths)?;
        holm_faults::crash!("image.untag.written");
        return Ok((id, Removal { untagged, ..Removal::default() }));
    } else if names.len() > 1 && !force {
        let names: Vec<_> = names.iter().map(Reference::familiar).collect();
        return Err(ImageError::SeveralNames { id: id.short(), names: names.join(", ") });
    }
    let users = containers_of(&id);
    if let (Some(container), false) = (users.first(), force) {
        return Err(ImageError::InUse { image: name_or_id.to_owned(), container: container.clone() });
    }
    let names = names.into_iter().chain(catalog.pins_of(&id)).collect();
    catalog.names.retain(|_, other| *other != id);
    if users.is_empty() {
        catalog.images.remove(&id);
    } else if let Some(record) = catalog.images.get_mut(&id) {
        record.removed = true;
    }
    catalog.write(paths)?;
    holm_faults::crash!("image.remove.unnamed");
    let mut removal = Removal { untagged: names, ..Removal::default() };
    if users.is_empty() {
        let swept = sweep(paths, &catalog, &lock)?;
        removal.deleted = [vec![id], swept.layers].concat();
        removal.freed_bytes = swept.freed_bytes;
    }
    Ok((id, removal))
}

/// What was deleted late.
#[derive(Default)]
pub(super) struct Collected {
    pub(super) images: Vec<Digest>,
    pub(super) layers: Vec<Digest>,
}

pub(super) fn collect(
    paths: &Paths,
    containers_of: &dyn Fn(&Digest) -> Vec<String>,
) -> Result<Collected, ImageError> {
    // Almost always there is nothing to do, which shows without the lock.
    if !Catalog::read(paths)?.images.values().any(|record| record.removed) {
        return Ok(Collected::default());
    }
    let lock = StoreLock::take(paths)?;
    let mut catalog = Catalog::read(paths)?;
    let unused: Vec<Digest> = catalog
        .images
        .iter()
        .filter(|(id, record)| record.removed && containers_of(id).is_empty())
        .map(|(id, _)| *id)
        .collect();
    if unused.is_empty() {
        return Ok(Collected::default());
    }
    catalog.images.retain(|id, _| !unused.contains(id));
    catalog.write(paths)?;
    holm_faults::crash!("image.collect.unnamed");
    let swept = sweep(paths, &catalog, &lock)?;
    Ok(Collected { images: unused, layers: swept.layers })
}

/// What the images of a catalog consist of.
pub(super) struct Needed {
    pub(super) blobs: HashSet<Digest>,
    pub(super) layers: HashSet<Digest>,
    pub(super) stacks: HashSet<Digest>,
}

impl Needed {
    pub(super) fn by(catalog: &Catalog) -> Self {
        let records = || catalog.images.iter();
        Self {
            blobs: records().flat_map(|(id, record)| record.manifest.into_iter().chain([*id])).collect(),
            layers: records().flat_map(|(_, record)| record.layers.iter().copied()).collect(),
            stacks: records().map(|(_, record)| stack_id(&record.layers)).collect(),
        }
    }
}

/// What a sweep deleted.
pub(super) struct Swept {
    pub(super) layers: Vec<Digest>,
    /// On disk, of all files.
    pub(super) freed_bytes: u64,
}

/// Deletes every file that the catalog does not stand for.
pub(super) fn sweep(paths: &Paths, catalog: &Catalog, _lock: &StoreLock) -> Result<Swept, ImageError> {
    let needed = Needed::by(catalog);
    for place in durable::leftovers(paths.base()).map_err(ImageError::io("read", paths.base()))? {
        durable::remove(&place).map_err(ImageError::io("remove", &place))?;
    }
    let mut freed_bytes = 0;
    delete_others(&paths.merged(), &needed.stacks, &mut freed_bytes)?;
    delete_others(&paths.blobs(), &needed.blobs, &mut freed_bytes)?;
    let layers = delete_others(&paths.layers(), &needed.layers, &mut freed_bytes)?;
    Ok(Swept { layers, freed_bytes })
}

/// Deletes metadata images that are not whole; they are made again when they are needed.
pub(super) fn delete_damaged_stacks(paths: &Paths) -> Result<(), ImageError> {
    for stack in Needed::by(&Catalog::read(paths)?).stacks {
        let place = paths.merged_stack(&stack);
        if place.exists() && rootfs::open(paths, &stack).is_none() {
            durable::remove(&place).map_err(ImageError::io("remove", &place))?;
        }
    }
    Ok(())
}

/// Deletes all entries of a directory but those of these names.
fn delete_others(
    directory: &Path,
    kept: &HashSet<Digest>,
    freed_bytes: &mut u64,
) -> Result<Vec<Digest>, ImageError> {
    let mut deleted = Vec::new();
    for path in others(directory, kept)? {
        let bytes = disk_usage_bytes(&path);
        holm_faults::fault!("image.sweep.remove")
            .and_then(|()| durable::remove(&path))
            .map_err(ImageError::io("remove", &path))?;
        holm_faults::crash!("image.sweep.removed");
        *freed_bytes = freed_bytes.saturating_add(bytes);
        deleted.extend(digest_of(&path));
    }
    Ok(deleted)
}

/// All entries of a directory but those of these names. What is not named by a digest was cut short.
pub(super) fn others(directory: &Path, kept: &HashSet<Digest>) -> Result<Vec<PathBuf>, ImageError> {
    let entries = fs::read_dir(directory).map_err(ImageError::io("read", directory))?;
    let mut all: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    all.retain(|path| !digest_of(path).is_some_and(|digest| kept.contains(&digest)));
    all.sort();
    Ok(all)
}

fn digest_of(path: &Path) -> Option<Digest> {
    Digest::from_hex(path.file_name()?.to_str()?).ok()
}
