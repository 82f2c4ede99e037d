//! Removing names, images, and what nobody uses any more.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::Removal;
use super::catalog::Catalog;
use super::lock::StoreLock;
use super::paths::Paths;
use crate::durable;
use crate::image::rootfs::stack_id;
use crate::image::{Digest, ImageError, Reference};

pub(super) fn remove(
    paths: &Paths,
    name_or_id: &str,
    force: bool,
    containers_of: &dyn Fn(&Digest) -> Vec<String>,
) -> Result<Removal, ImageError> {
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
        return Ok(Removal { untagged, deleted: Vec::new() });
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
    let mut deleted = Vec::new();
    if users.is_empty() {
        deleted.push(id);
        deleted.extend(sweep(paths, &catalog, &lock)?);
    }
    Ok(Removal { untagged: names, deleted })
}

pub(super) fn collect(
    paths: &Paths,
    containers_of: &dyn Fn(&Digest) -> Vec<String>,
) -> Result<Vec<Digest>, ImageError> {
    // Almost always there is nothing to do, which shows without the lock.
    if !Catalog::read(paths)?.images.values().any(|record| record.removed) {
        return Ok(Vec::new());
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
        return Ok(unused);
    }
    catalog.images.retain(|id, _| !unused.contains(id));
    catalog.write(paths)?;
    let layers = sweep(paths, &catalog, &lock)?;
    Ok(unused.into_iter().chain(layers).collect())
}

/// Deletes every file that the catalog does not stand for; the layers among them.
pub(super) fn sweep(paths: &Paths, catalog: &Catalog, _lock: &StoreLock) -> Result<Vec<Digest>, ImageError> {
    let records = || catalog.images.iter();
    let blobs = records().flat_map(|(id, record)| record.manifest.into_iter().chain([*id])).collect();
    let layers = records().flat_map(|(_, record)| record.layers.iter().copied()).collect();
    let stacks = records().map(|(_, record)| stack_id(&record.layers)).collect();
    delete_others(&paths.merged(), &stacks)?;
    delete_others(&paths.blobs(), &blobs)?;
    delete_others(&paths.layers(), &layers)
}

/// Deletes all entries of a directory but those of these names. What is not named by a digest was cut short.
fn delete_others(directory: &Path, kept: &HashSet<Digest>) -> Result<Vec<Digest>, ImageError> {
    let mut deleted = Vec::new();
    let entries = fs::read_dir(directory).map_err(ImageError::io("read", directory))?;
    let mut all: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    all.sort();
    for path in all {
        let digest =
            path.file_name().and_then(|name| name.to_str()).and_then(|hex| Digest::from_hex(hex).ok());
        if digest.is_some_and(|digest| kept.contains(&digest)) {
            continue;
        }
        durable::remove(&path).map_err(ImageError::io("remove", &path))?;
        deleted.extend(digest);
    }
    Ok(deleted)
}
