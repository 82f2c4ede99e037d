//! From a plan to files in a staging directory.

use std::fs;
use std::time::{Duration, Instant};

use super::Progress;
use super::contents::{Contents, verify};
use super::plan::{Plan, PlannedLayer};
use crate::durable;
use crate::image::layer::{LayerError, LayerLimits, convert, file};
use crate::image::store::{NewImage, Staging};
use crate::image::{Digest, ImageError, rootfs};

const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

pub(super) fn stage(
    staging: &Staging,
    contents: &Contents,
    plan: Plan,
    limits: &LayerLimits,
    progress: &mut dyn FnMut(Progress),
) -> Result<NewImage, ImageError> {
    let diff_ids = &plan.config.diff_ids;
    let mut size_bytes = 0_u64;
    for (index, (layer, diff_id)) in plan.layers.iter().zip(diff_ids).enumerate() {
        let layer_bytes = if staging.layer(diff_id).exists() {
            // Twice in one archive, or in one image.
            file::read(&staging.layer(diff_id).join("tree")).map_err(layer_error(diff_id))?.content_bytes
        } else if let Some(tree) = staging.adopt(diff_id)? {
            progress(Progress::LayerExists { diff_id: *diff_id });
            tree.content_bytes
        } else {
            let position = (index, diff_ids.len());
            stage_layer(staging, contents, layer, diff_id, limits, position, progress)?
        };
        size_bytes = size_bytes.saturating_add(layer_bytes);
    }
    let stack = rootfs::stack_id(diff_ids);
    if !staging.merged(&stack).exists() && rootfs::open(staging.paths(), &stack).is_none() {
        let tree_of =
            |diff_id: &Digest| file::read(&staging.layer(diff_id).join("tree")).map_err(layer_error(diff_id));
        rootfs::stage(staging, diff_ids, tree_of, &plan.label())?;
    }
    staging.put_blob(&plan.config.json)?;
    Ok(NewImage {
        id: plan.config.id,
        manifest: plan.manifest.as_deref().map(|json| staging.put_blob(json)).transpose()?,
        layers: plan.config.diff_ids,
        names: plan.names,
        size_bytes,
    })
}

/// Converts a layer and checks both its digests; gives the sum of its files' sizes.
fn stage_layer(
    staging: &Staging,
    contents: &Contents,
    layer: &PlannedLayer,
    diff_id: &Digest,
    limits: &LayerLimits,
    (index, count): (usize, usize),
    progress: &mut dyn FnMut(Progress),
) -> Result<u64, ImageError> {
    let blob = contents.blob(&layer.file)?;
    let total_bytes = blob.length_bytes();
    let directory = staging.layer(diff_id);
    fs::create_dir(&directory).map_err(ImageError::io("create", &directory))?;
    let mut report =
        |read_bytes| progress(Progress::Layer { diff_id: *diff_id, index, count, read_bytes, total_bytes });
    let mut last = Instant::now();
    let converted = convert(blob, &directory, limits, &mut |read_bytes| {
        if last.elapsed() >= PROGRESS_INTERVAL {
            last = Instant::now();
            report(read_bytes);
        }
    })
    .map_err(|source| ImageError::Layer { blob: layer.file.clone(), source })?;
    report(total_bytes);
    if let Some(digest) = &layer.digest {
        verify(&layer.file, digest, &converted.digest)?;
    }
    let what = format!("the uncompressed content of {}", layer.file);
    verify(&what, diff_id, &converted.diff_id)?;
    durable::sync_directory(&directory).map_err(ImageError::io("sync", &directory))?;
    Ok(converted.content_bytes)
}

/// Names the layer that an error is about.
pub(in crate::image) fn layer_error(diff_id: &Digest) -> impl FnOnce(LayerError) -> ImageError {
    let blob = diff_id.to_string();
    move |source| ImageError::Layer { blob, source }
}
