//! From the catalog to [`Image`].

use std::fs;

use super::catalog::{Catalog, Record};
use super::paths::Paths;
use crate::image::config::Config;
use crate::image::{Digest, Image, ImageError};

pub(super) fn resolve(paths: &Paths, name_or_id: &str) -> Result<Image, ImageError> {
    let catalog = Catalog::read(paths)?;
    let (id, _) = catalog.find(name_or_id)?;
    let record = catalog.images.get(&id).ok_or_else(|| ImageError::NotFound(name_or_id.to_owned()))?;
    image(paths, &catalog, &id, record)
}

pub(super) fn list(paths: &Paths) -> Result<Vec<Image>, ImageError> {
    let catalog = Catalog::read(paths)?;
    let mut images = catalog
        .images
        .iter()
        .filter(|(_, record)| !record.removed)
        .map(|(id, record)| image(paths, &catalog, id, record))
        .collect::<Result<Vec<_>, _>>()?;
    images.sort_by_cached_key(|image| (std::cmp::Reverse(image.created()), image.id()));
    Ok(images)
}

/// Reads and verifies the config: it is the one file of an image whose every use is on trust.
pub(super) fn image(
    paths: &Paths,
    catalog: &Catalog,
    id: &Digest,
    record: &Record,
) -> Result<Image, ImageError> {
    let path = paths.blob(id);
    let json = fs::read(&path).map_err(ImageError::io("read", &path))?;
    let config = Config::parse(json, &id.to_string())?;
    if config.id != *id {
        return Err(ImageError::Damaged { path, reason: format!("it has digest {}", config.id) });
    }
    if config.diff_ids != record.layers {
        return Err(ImageError::Damaged { path, reason: "the catalog names other layers".to_owned() });
    }
    Ok(Image {
        paths: paths.clone(),
        id: *id,
        names: catalog.names_of(id),
        pins: catalog.pins_of(id),
        manifest: record.manifest,
        layers: record.layers.clone(),
        size_bytes: record.size_bytes,
        config: config.parsed.into(),
        config_json: config.json.into(),
    })
}
