//! What `docker save` writes: `manifest.json`, since Docker 1.10. Archives of Docker 25 and later are OCI layouts as
//! well; their manifest.json is what names images.

use serde::Deserialize;

use super::contents::{Contents, verify};
use super::plan::{Plan, PlannedLayer};
use crate::image::config::Config;
use crate::image::{Digest, ImageError, Reference};

const MANIFEST: &str = "manifest.json";

/// One image in `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

pub(super) fn plans(contents: &Contents) -> Result<Vec<Plan>, ImageError> {
    let items: Vec<Item> = serde_json::from_slice(&contents.document(MANIFEST)?)
        .map_err(|source| ImageError::Invalid { blob: MANIFEST.to_owned(), source })?;
    if items.is_empty() {
        let reason = "it names no image".to_owned();
        return Err(ImageError::Inconsistent { blob: MANIFEST.to_owned(), reason });
    }
    items.into_iter().map(|item| plan(contents, item)).collect()
}

fn plan(contents: &Contents, item: Item) -> Result<Plan, ImageError> {
    let json = contents.document(&item.config)?;
    if let Some(expected) = digest_of_name(&item.config) {
        verify(&item.config, &expected, &Digest::of(&json))?;
    }
    let names = item.repo_tags.unwrap_or_default();
    let plan = Plan {
        names: names.iter().map(|name| name.parse()).collect::<Result<Vec<Reference>, _>>()?,
        pins: Vec::new(),
        config: Config::parse(json, &item.config)?,
        manifest: None,
        layers: item.layers.unwrap_or_default().into_iter().map(layer).collect(),
    };
    plan.check(&item.config)
}

fn layer(file: String) -> PlannedLayer {
    // `<digest>/layer.tar` and `<digest>.tar` are named by other digests than the content's; `blobs/` are not.
    let digest = file.strip_prefix("blobs/sha256/").and_then(|hex| Digest::from_hex(hex).ok());
    PlannedLayer { file, digest, bytes: None }
}

/// Configs are called `<digest>.json` or `blobs/sha256/<digest>`.
fn digest_of_name(name: &str) -> Option<Digest> {
    let hex = name.strip_prefix("blobs/sha256/").or_else(|| name.strip_suffix(".json"))?;
    Digest::from_hex(hex).ok()
}
