//! A new image of layers that are made here: `import` and `commit`.

use std::fs;
use std::io::Read;

use serde_json::Value;

use super::config::Config;
use super::layer::{Converted, LayerError, LayerLimits, convert};
use super::load::layer_error;
use super::store::{NewImage, Staging};
use super::{Digest, ImageError, Reference, rootfs};

/// Converts the tar of a layer in a staging directory, where nobody knows its diffID yet.
pub(super) fn stage_layer(
    staging: &Staging,
    tar: impl Read + Send,
    limits: &LayerLimits,
    read_bytes: &mut dyn FnMut(u64),
    unusable: impl FnOnce(LayerError) -> ImageError,
) -> Result<Converted, ImageError> {
    let directory = staging.file("new-layer");
    fs::create_dir(&directory).map_err(ImageError::io("create", &directory))?;
    let converted = convert(tar, None, &directory, limits, read_bytes).map_err(unusable)?;
    let place = staging.layer(&converted.diff_id);
    // The store, or the image that this one is made from, may have the same.
    if !place.exists() && staging.adopt(&converted.diff_id)?.is_none() {
        fs::rename(&directory, &place).map_err(ImageError::io("move into place", &place))?;
    }
    Ok(converted)
}

/// Writes the config (image-spec config.md) of an image whose layers are in a staging directory, lowest first.
pub(super) fn stage_image(
    staging: &Staging,
    config: &Value,
    layers: Vec<Digest>,
    names: Vec<Reference>,
    size_bytes: u64,
) -> Result<NewImage, ImageError> {
    let json = serde_json::to_vec(config)
        .map_err(|source| ImageError::Invalid { blob: "the config".to_owned(), source })?;
    let config = Config::parse(json, "the config")?;
    if rootfs::open(staging.paths(), &rootfs::stack_id(&layers)).is_none() {
        let tree_of = |diff_id: &Digest| {
            let path = staging.layer(diff_id).join("tree");
            super::layer::file::read(&path).map_err(layer_error(diff_id))
        };
        rootfs::stage(staging, &layers, tree_of, &config.id.short())?;
    }
    staging.put_blob(&config.json)?;
    Ok(NewImage { id: config.id, names, pins: Vec::new(), manifest: None, layers, size_bytes })
}
