//! What the fuzz targets call: images without a store.

use std::fs;
use std::io::Read;
use std::path::Path;

use holm_erofs::Placement;
use oci_spec::image::ImageConfiguration;

use super::config::Config;
use super::layer::{self, tree::LayerTree};
use super::load::{BlobSource, PlannedLayer, plan_of};
use super::merge::Merged;
use super::{Digest, ImageError, LayerLimits, Reference};

/// Converts layers, makes each of their tars again, merges them, and writes the metadata image: that, and how many blocks of
/// data follow it on the disk. `None` when something of it was refused. `directory` is empty.
///
/// # Panics
/// A tar that was made again is another one, or what was written cannot be read.
#[must_use]
pub fn merged_image(
    layers: &[&[u8]],
    directory: &Path,
    limits: &LayerLimits,
    max_bytes: u64,
) -> Option<(Vec<u8>, u64)> {
    let mut merged = Merged::new();
    let mut data_blocks = 0;
    for (index, bytes) in layers.iter().enumerate() {
        let directory = directory.join(index.to_string());
        fs::create_dir(&directory).ok()?;
        let converted = layer::convert(*bytes, None, &directory, limits, &mut |_| {}).ok()?;
        let tree = read(&directory);
        data_blocks += u64::from(tree.data_blocks);
        let mut again = Vec::new();
        let made = layer::rebuild(&directory, &converted.diff_id, &mut again);
        assert!(made.is_ok(), "a tar cannot be made again: {made:?}");
        assert_eq!(Digest::of(&again), converted.diff_id, "a tar was made again, and is another one");
        merged.apply(tree).ok()?;
    }
    let planned = merged.plan().ok()?;
    if planned.layout.bytes() > max_bytes {
        return None;
    }
    let mut metadata = Vec::new();
    let placement = Placement { data_start_block: planned.layout.blocks(), uuid: [7; 16] };
    planned.layout.write(&mut metadata, placement).ok()?;
    Some((metadata, data_blocks))
}

#[allow(clippy::expect_used, reason = "a fuzz target fails by panicking")]
fn read(directory: &Path) -> LayerTree {
    layer::file::read(&directory.join("tree")).expect("a tree that was just written can be read")
}

/// Reads the tree of a layer as the store keeps it.
#[must_use]
pub fn is_tree(path: &Path) -> bool {
    layer::file::read(path).is_ok()
}

/// Reads an image's config.
#[must_use]
pub fn config(json: &[u8]) -> Option<ImageConfiguration> {
    let config = Config::parse(json.to_vec(), "the config").ok()?;
    let _ = config.check_platform("an image");
    Some(config.parsed)
}

/// Documents by their digests.
struct Documents<'a>(&'a [&'a [u8]]);

impl Documents<'_> {
    fn get(&self, digest: &Digest) -> Result<Vec<u8>, ImageError> {
        let found = self.0.iter().find(|bytes| Digest::of(bytes) == *digest);
        found.map(|bytes| bytes.to_vec()).ok_or_else(|| ImageError::MissingBlob(digest.to_string()))
    }
}

impl BlobSource for Documents<'_> {
    fn name_of(&self, digest: &Digest) -> String {
        digest.to_string()
    }

    fn manifest(&self, digest: &Digest) -> Result<Vec<u8>, ImageError> {
        self.get(digest)
    }

    fn config(&self, digest: &Digest) -> Result<Vec<u8>, ImageError> {
        self.get(digest)
    }

    fn layer<'a>(&'a self, layer: &PlannedLayer) -> Result<(Box<dyn Read + Send + 'a>, u64), ImageError> {
        Err(ImageError::MissingBlob(layer.file.clone()))
    }

    fn parallel_layers(&self) -> usize {
        1
    }
}

/// Plans what is to be made of a manifest or index, the first of these documents; whether it is an image for this host.
#[must_use]
pub fn is_planned(documents: &[&[u8]]) -> bool {
    let Some(first) = documents.first() else { return false };
    let names: Vec<Reference> = "example.com/an/image:latest".parse().into_iter().collect();
    let digest = Digest::of(first);
    plan_of(&Documents(documents), names, "an image", &digest, first.to_vec()).is_ok()
}
