//! `commit`: the layers of an image and one more, which a container wrote, become an image.

use std::io::Read;

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::compose::{stage_image, stage_layer};
use super::import::ConfigChange;
use super::layer::LayerLimits;
use super::store::{NewImage, Staging};
use super::{Digest, Image, ImageError, Reference};

/// What a committed image gets beside its files.
#[derive(Clone, Debug, Default)]
pub struct CommitOptions {
    /// Its name.
    pub name: Option<Reference>,
    /// Who made it.
    pub author: Option<String>,
    /// Recorded in the history.
    pub message: Option<String>,
    /// What the container ran: the `config` object of the new image.
    pub config: Map<String, Value>,
    /// Config settings over it, applied in order.
    pub changes: Vec<ConfigChange>,
}

/// Makes the image in a staging directory.
pub(super) fn stage(
    staging: &Staging,
    base: &Image,
    tar: impl Read + Send,
    options: &CommitOptions,
    limits: &LayerLimits,
) -> Result<NewImage, ImageError> {
    let mut config = options.config.clone();
    for change in &options.changes {
        change.apply(&mut config)?;
    }
    for diff_id in base.layers() {
        if !staging.layer(diff_id).exists() && staging.adopt(diff_id)?.is_none() {
            let path = staging.paths().layer(diff_id);
            return Err(ImageError::Damaged { path, reason: "it is gone".to_owned() });
        }
    }
    holm_faults::crash!("image.commit.adopted");
    let unusable = |source| ImageError::Layer { blob: "what the container wrote".to_owned(), source };
    let layer = stage_layer(staging, tar, limits, &mut |_| {}, unusable)?;
    holm_faults::crash!("image.commit.layer");
    let layers: Vec<Digest> = base.layers().iter().copied().chain([layer.diff_id]).collect();
    let document = document(base, config, &layers, options)?;
    let size_bytes = base.size_bytes().saturating_add(layer.content_bytes);
    stage_image(staging, &document, layers, options.name.clone().into_iter().collect(), size_bytes)
}

/// The base image's config with what is new.
fn document(
    base: &Image,
    config: Map<String, Value>,
    layers: &[Digest],
    options: &CommitOptions,
) -> Result<Value, ImageError> {
    let mut document: Map<String, Value> = serde_json::from_slice(base.config_json())
        .map_err(|source| ImageError::Invalid { blob: base.id().to_string(), source })?;
    // Of the container or image that the base was made from (Docker's image-spec v1).
    for stale in ["id", "parent", "container", "container_config", "docker_version", "author"] {
        document.remove(stale);
    }
    let created = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
    let mut entry = json!({ "created": created, "created_by": command(&config) });
    let given = [("author", &options.author), ("comment", &options.message)];
    for (key, text) in given {
        if let Some(text) = text {
            entry[key] = json!(text);
        }
    }
    if let Some(author) = &options.author {
        document.insert("author".to_owned(), json!(author));
    }
    let mut history = document.get("history").and_then(Value::as_array).cloned().unwrap_or_default();
    history.push(entry);
    let diff_ids: Vec<String> = layers.iter().map(ToString::to_string).collect();
    document.insert("created".to_owned(), json!(created));
    document.insert("config".to_owned(), Value::Object(config));
    document.insert("history".to_owned(), Value::Array(history));
    document.insert("rootfs".to_owned(), json!({ "diff_ids": diff_ids, "type": "layers" }));
    Ok(Value::Object(document))
}

/// What ran, as Docker records it.
fn command(config: &Map<String, Value>) -> String {
    let words = config.get("Cmd").and_then(Value::as_array);
    let words = words.into_iter().flatten().filter_map(Value::as_str);
    words.collect::<Vec<_>>().join(" ")
}
