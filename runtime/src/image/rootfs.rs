//! The disk of an image: `merged/<stack>/` holds `metadata.erofs`, and `disk.json` says what follows it.
//!
//! ```text
//! disk:  | metadata.erofs | data of a layer | data of the next | ...     layers without surviving files are left out
//! ```

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use holm_erofs::{BLOCK_BYTES, Placement};
use holm_protocol::vm_config::SegmentConfig;
use serde::{Deserialize, Serialize};

use super::handle::RootfsDisk;
use super::layer::LayerError;
use super::layer::blob::FreeSpace;
use super::layer::tree::LayerTree;
use super::merge::{MergeError, Merged, Planned};
use super::store::{Paths, Staging};
use super::{Digest, ImageError};
use crate::durable;

/// Counts up when the same layers would give other bytes.
const VERSION: u32 = 1;
/// Largest metadata image: far above what a million files need, far below what a hostile sparse file could ask for.
const MAX_METADATA_BYTES: u64 = 1 << 30;
const METADATA: &str = "metadata.erofs";
const DISK: &str = "disk.json";

/// `disk.json`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Disk {
    metadata_bytes: u64,
    layers: Vec<DiskLayer>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct DiskLayer {
    diff_id: Digest,
    data_bytes: u64,
}

/// Names a stack of layers, lowest first, in this version of the format.
pub(super) fn stack_id(layers: &[Digest]) -> Digest {
    let mut text = format!("holm merged image {VERSION}\n");
    for layer in layers {
        text.push_str(&format!("{layer}\n"));
    }
    Digest::of(text.as_bytes())
}

/// The disk of a stack that was merged already; `None` when it was not, or is not whole.
pub(super) fn open(paths: &Paths, stack: &Digest) -> Option<RootfsDisk> {
    let directory = paths.merged_stack(stack);
    let disk: Disk = serde_json::from_slice(&fs::read(directory.join(DISK)).ok()?).ok()?;
    let segment = |path: std::path::PathBuf, length_bytes: u64| {
        let whole = fs::metadata(&path).is_ok_and(|file| file.len() == length_bytes);
        whole.then_some(SegmentConfig { path, offset_bytes: 0, length_bytes })
    };
    let metadata = segment(directory.join(METADATA), disk.metadata_bytes);
    let layers =
        disk.layers.iter().map(|layer| segment(paths.layer(&layer.diff_id).join("data"), layer.data_bytes));
    Some(RootfsDisk { segments: std::iter::once(metadata).chain(layers).collect::<Option<_>>()? })
}

/// Merges a stack into a staging directory. `trees` gives the layers' trees, lowest first, one at a time.
pub(super) fn stage(
    staging: &Staging,
    layers: &[Digest],
    mut tree_of: impl FnMut(&Digest) -> Result<LayerTree, ImageError>,
    image: &str,
) -> Result<(), ImageError> {
    let failed = |source: MergeError| ImageError::Merge { image: image.to_owned(), source };
    let mut merged = Merged::new();
    let mut data_bytes = Vec::new();
    for diff_id in layers {
        let tree = tree_of(diff_id)?;
        data_bytes.push(u64::from(tree.data_blocks) * u64::from(BLOCK_BYTES));
        merged.apply(tree).map_err(failed)?;
    }
    let planned = merged.plan().map_err(failed)?;
    let metadata_bytes = planned.layout.bytes();
    if metadata_bytes > MAX_METADATA_BYTES {
        let limit = MAX_METADATA_BYTES;
        return Err(failed(LayerError::Limit { what: "bytes of metadata", limit }.into()));
    }
    let used = planned.layers.iter().filter_map(|layer| Some((layers.get(*layer)?, data_bytes.get(*layer)?)));
    let disk = Disk {
        metadata_bytes,
        layers: used.map(|(id, bytes)| DiskLayer { diff_id: *id, data_bytes: *bytes }).collect(),
    };
    let stack = stack_id(layers);
    let directory = staging.merged(&stack);
    holm_faults::fault!("image.merge.create")
        .and_then(|()| fs::create_dir(&directory))
        .map_err(ImageError::io("create", &directory))?;
    write_metadata(&directory.join(METADATA), &planned, &stack).map_err(|source| failed(source.into()))?;
    let path = directory.join(DISK);
    let json = serde_json::to_vec_pretty(&disk)
        .map_err(|source| ImageError::Invalid { blob: path.display().to_string(), source })?;
    holm_faults::fault!("image.merge.disk")
        .and_then(|()| durable::write(&path, &json))
        .map_err(ImageError::io("write", &path))
}

fn write_metadata(path: &Path, planned: &Planned, stack: &Digest) -> Result<(), LayerError> {
    let file = holm_faults::fault!("image.merge.metadata")
        .and_then(|()| File::create_new(path))
        .map_err(LayerError::write)?;
    FreeSpace::check(&file, planned.layout.bytes())?;
    let mut uuid = [0; 16];
    uuid.iter_mut().zip(stack.bytes()).for_each(|(to, from)| *to = *from);
    let placement = Placement { data_start_block: planned.layout.blocks(), uuid };
    let mut out = BufWriter::with_capacity(1 << 20, file);
    planned.layout.write(&mut out, placement).map_err(|error| match error {
        holm_erofs::Error::Io(error) => LayerError::write(error),
        other => LayerError::Erofs(other),
    })?;
    out.flush().map_err(LayerError::write)?;
    holm_faults::fault!("image.merge.sync").and_then(|()| out.get_ref().sync_all()).map_err(LayerError::write)
}
