//! From a plan to files in a staging directory.
//!
//! Threads: as many as the source likes to be read by, each with a layer at a time; the caller's reports their progress.

use std::collections::HashMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::Progress;
use super::contents::verify;
use super::plan::{Plan, PlannedLayer};
use super::source::{BlobSource, Stoppable};
use crate::durable;
use crate::image::layer::{LayerError, LayerLimits, convert, file};
use crate::image::store::{NewImage, Staging};
use crate::image::{Digest, ImageError, rootfs};
use crate::registry::RegistryError;

const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

pub(in crate::image) fn stage(
    staging: &Staging,
    source: &dyn BlobSource,
    plan: Plan,
    limits: &LayerLimits,
    progress: &mut dyn FnMut(Progress),
) -> Result<NewImage, ImageError> {
    let diff_ids = &plan.config.diff_ids;
    let layer_bytes = stage_layers(staging, source, &plan, limits, progress)?;
    let size_bytes = diff_ids.iter().filter_map(|diff_id| layer_bytes.get(diff_id)).sum();
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
        pins: plan.pins,
        size_bytes,
    })
}

/// Makes every layer that is not there, and gives the sums of their files' sizes.
fn stage_layers(
    staging: &Staging,
    source: &dyn BlobSource,
    plan: &Plan,
    limits: &LayerLimits,
    progress: &mut dyn FnMut(Progress),
) -> Result<HashMap<Digest, u64>, ImageError> {
    let diff_ids = &plan.config.diff_ids;
    let mut layer_bytes = HashMap::new();
    let mut missing = Vec::new();
    for (index, (layer, diff_id)) in plan.layers.iter().zip(diff_ids).enumerate() {
        if layer_bytes.contains_key(diff_id) {
            // Twice in one image.
            continue;
        }
        let bytes = if staging.layer(diff_id).exists() {
            // Twice in one archive.
            file::read(&staging.layer(diff_id).join("tree")).map_err(layer_error(diff_id))?.content_bytes
        } else if let Some(tree) = staging.adopt(diff_id)? {
            progress(Progress::LayerExists { diff_id: *diff_id, digest: layer.digest });
            tree.content_bytes
        } else {
            missing.push(Job { layer, diff_id: *diff_id, index, count: diff_ids.len() });
            0
        };
        layer_bytes.insert(*diff_id, bytes);
    }
    for job in &missing {
        progress(job.progress(0, job.layer.bytes.unwrap_or(0)));
    }
    let stop = AtomicBool::new(false);
    let queue = Mutex::new(missing.iter());
    let made = thread::scope(|scope| {
        let (events, received) = channel();
        let workers: Vec<_> = (0..source.parallel_layers().min(missing.len()))
            .map(|_| {
                let (events, queue, stop) = (events.clone(), &queue, &stop);
                scope.spawn(move || work(staging, source, limits, queue, stop, &events))
            })
            .collect();
        drop(events);
        let mut failure = None;
        for event in received {
            match event {
                Event::Progress(event) => progress(event),
                Event::Failed(error) => failure = failure.or(Some(error)),
            }
        }
        let made: Vec<_> = workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect();
        failure.map_or(Ok(made), Err)
    })?;
    layer_bytes.extend(made);
    match missing.iter().find(|job| !staging.layer(&job.diff_id).exists()) {
        // A thread that panicked made nothing.
        Some(job) => Err(ImageError::MissingBlob(job.layer.file.clone())),
        None => Ok(layer_bytes),
    }
}

/// A layer to be made.
struct Job<'a> {
    layer: &'a PlannedLayer,
    diff_id: Digest,
    index: usize,
    count: usize,
}

impl Job<'_> {
    fn progress(&self, read_bytes: u64, total_bytes: u64) -> Progress {
        let (digest, diff_id, index, count) = (self.layer.digest, self.diff_id, self.index, self.count);
        Progress::Layer { diff_id, digest, index, count, read_bytes, total_bytes }
    }
}

enum Event {
    Progress(Progress),
    Failed(ImageError),
}

/// One thread: takes layers until there are no more, or one failed.
fn work(
    staging: &Staging,
    source: &dyn BlobSource,
    limits: &LayerLimits,
    queue: &Mutex<std::slice::Iter<'_, Job<'_>>>,
    stop: &AtomicBool,
    events: &Sender<Event>,
) -> Vec<(Digest, u64)> {
    let mut made = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let Some(job) = queue.lock().unwrap_or_else(PoisonError::into_inner).next() else { break };
        // The receiver outlives the workers.
        let report = &mut |event| drop(events.send(Event::Progress(event)));
        match stage_layer(staging, source, job, limits, stop, report) {
            Ok(bytes) => made.push((job.diff_id, bytes)),
            Err(error) => {
                // Its error comes before those of the layers that it stops.
                let _ = events.send(Event::Failed(error));
                stop.store(true, Ordering::Relaxed);
            }
        }
    }
    made
}

/// Converts a layer and checks both its digests; gives the sum of its files' sizes.
fn stage_layer(
    staging: &Staging,
    source: &dyn BlobSource,
    job: &Job<'_>,
    limits: &LayerLimits,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(Progress),
) -> Result<u64, ImageError> {
    let (layer, diff_id) = (job.layer, &job.diff_id);
    let (blob, total_bytes) = source.layer(layer)?;
    let directory = staging.layer(diff_id);
    holm_faults::fault!("image.layer.create")
        .and_then(|()| fs::create_dir(&directory))
        .map_err(ImageError::io("create", &directory))?;
    let mut last = Instant::now();
    let blob = Stoppable { inner: blob, stop };
    let converted = convert(blob, layer.digest.as_ref(), &directory, limits, &mut |read_bytes| {
        if last.elapsed() >= PROGRESS_INTERVAL {
            last = Instant::now();
            progress(job.progress(read_bytes, total_bytes));
        }
    })
    .map_err(|error| unusable(layer, error))?;
    progress(job.progress(total_bytes, total_bytes));
    holm_faults::crash!("image.layer.converted");
    let what = format!("the uncompressed content of {}", layer.file);
    verify(&what, diff_id, &converted.diff_id)?;
    holm_faults::fault!("image.layer.sync")
        .and_then(|()| durable::sync_directory(&directory))
        .map_err(ImageError::io("sync", &directory))?;
    progress(Progress::LayerDone { diff_id: *diff_id, digest: layer.digest });
    Ok(converted.content_bytes)
}

/// What kept a layer from being converted: its content, or the way to it.
fn unusable(layer: &PlannedLayer, error: LayerError) -> ImageError {
    match error {
        LayerError::Digest { expected, actual } => {
            ImageError::DigestMismatch { blob: layer.file.clone(), expected, actual }
        }
        LayerError::Tar(text, Some(error)) => match error.downcast::<RegistryError>() {
            Ok(error) => ImageError::Registry(error),
            Err(error) => {
                let source = LayerError::Tar(text, Some(error));
                ImageError::Layer { blob: layer.file.clone(), source }
            }
        },
        source => ImageError::Layer { blob: layer.file.clone(), source },
    }
}

/// Names the layer that an error is about.
pub(in crate::image) fn layer_error(diff_id: &Digest) -> impl FnOnce(LayerError) -> ImageError {
    let blob = diff_id.to_string();
    move |source| ImageError::Layer { blob, source }
}
