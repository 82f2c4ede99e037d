//! OCI image layout (image-spec image-layout.md): `index.json` and blobs by digest; and what a registry has, which is
//! the same blobs.
//!
//! The index's manifests with one name are one image for several platforms, directly or through an index of their own;
//! of each such image this host's is taken. A name is in the annotation `io.containerd.image.name` (whole) or
//! `org.opencontainers.image.ref.name`, where it counts as a name only if it is more than a tag.

use std::collections::BTreeMap;

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};
use serde_json::Value;

use super::contents::Contents;
use super::plan::{Plan, PlannedLayer};
use super::source::BlobSource;
use crate::image::config::Config;
use crate::image::{Digest, ImageError, Reference, platform};

const INDEX: &str = "index.json";
const FULL_NAME: &str = "io.containerd.image.name";
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Marks what BuildKit puts beside images: provenance, no image.
const ATTESTATION: &str = "vnd.docker.reference.type";
/// Most indexes and manifests that are looked at.
const MAX_DOCUMENTS: usize = 1000;

pub(super) fn plans(contents: &Contents) -> Result<Vec<Plan>, ImageError> {
    let index: ImageIndex = parse(INDEX, &contents.document(INDEX)?)?;
    let mut by_name: BTreeMap<Option<String>, Vec<Descriptor>> = BTreeMap::new();
    for descriptor in index.manifests() {
        by_name.entry(name(descriptor)).or_default().push(descriptor.clone());
    }
    if by_name.is_empty() {
        let reason = "it names no image".to_owned();
        return Err(ImageError::Inconsistent { blob: INDEX.to_owned(), reason });
    }
    let mut plans: Vec<Plan> = Vec::new();
    for (name, descriptors) in by_name {
        let names: Vec<Reference> = name.map(|name| name.parse()).transpose()?.into_iter().collect();
        let label = names.first().map_or_else(|| "the image".to_owned(), Reference::familiar);
        let plan = choose(contents, names, &label, descriptors)?;
        // One manifest under several names is one image.
        match plans.iter_mut().find(|other| other.config.id == plan.config.id) {
            Some(other) => other.names.extend(plan.names),
            None => plans.push(plan),
        }
    }
    Ok(plans)
}

fn name(descriptor: &Descriptor) -> Option<String> {
    let annotations = descriptor.annotations().as_ref()?;
    let ref_name = annotations.get(REF_NAME).filter(|name| name.contains(['/', ':']));
    annotations.get(FULL_NAME).or(ref_name).cloned()
}

/// What a manifest says, or of an index the first manifest that is for this host. `names` are the image's, `label` is
/// what messages call it.
pub(in crate::image) fn plan_of(
    source: &dyn BlobSource,
    names: Vec<Reference>,
    label: &str,
    digest: &Digest,
    json: Vec<u8>,
) -> Result<Plan, ImageError> {
    let blob = source.name_of(digest);
    let document: Value = parse(&blob, &json)?;
    if document.get("manifests").is_some() {
        let index: ImageIndex = parse(&blob, &json)?;
        return choose(source, names, label, index.manifests().clone());
    }
    plan(source, names, &blob, json)
}

/// The first of these manifests, or of the indexes among them, that is for this host.
fn choose(
    source: &dyn BlobSource,
    names: Vec<Reference>,
    label: &str,
    descriptors: Vec<Descriptor>,
) -> Result<Plan, ImageError> {
    let mut others: Vec<String> = Vec::new();
    let mut looked_at = 0;
    let mut pending: Vec<Descriptor> = descriptors.into_iter().rev().collect();
    while let Some(descriptor) = pending.pop() {
        looked_at += 1;
        if looked_at > MAX_DOCUMENTS {
            let reason = format!("more than {MAX_DOCUMENTS} manifests");
            return Err(ImageError::Inconsistent { blob: INDEX.to_owned(), reason });
        }
        if descriptor.annotations().as_ref().is_some_and(|all| all.contains_key(ATTESTATION)) {
            continue;
        }
        if let Some(platform) = descriptor.platform() {
            let (os, architecture) = (platform.os().to_string(), platform.architecture().to_string());
            if !platform::fits(&os, &architecture) {
                others.push(format!("{os}/{architecture}"));
                continue;
            }
        }
        let digest = sha256(&descriptor)?;
        let json = source.manifest(&digest)?;
        let blob = source.name_of(&digest);
        let document: Value = parse(&blob, &json)?;
        if document.get("manifests").is_some() {
            let index: ImageIndex = parse(&blob, &json)?;
            pending.extend(index.manifests().iter().rev().cloned());
            continue;
        }
        match plan(source, names.clone(), &blob, json) {
            Err(ImageError::Platform { found, .. }) => others.push(found),
            result => return result,
        }
    }
    if others.is_empty() {
        let reason = "it names no image manifest".to_owned();
        return Err(ImageError::Inconsistent { blob: INDEX.to_owned(), reason });
    }
    others.sort();
    others.dedup();
    Err(ImageError::Platform { image: label.to_owned(), found: others.join(", "), host: platform::HOST })
}

fn plan(
    source: &dyn BlobSource,
    names: Vec<Reference>,
    blob: &str,
    json: Vec<u8>,
) -> Result<Plan, ImageError> {
    let manifest: ImageManifest = parse(blob, &json)?;
    let media_type = manifest.config().media_type().to_string();
    if !media_type.contains("image.config") && !media_type.contains("container.image") {
        let reason = format!("its config is a {media_type}: this is no container image");
        return Err(ImageError::Inconsistent { blob: blob.to_owned(), reason });
    }
    let config_digest = sha256(manifest.config())?;
    let config_blob = source.name_of(&config_digest);
    let layer = |descriptor: &Descriptor| {
        let digest = sha256(descriptor)?;
        let file = source.name_of(&digest);
        Ok(PlannedLayer { file, digest: Some(digest), bytes: Some(descriptor.size()) })
    };
    let plan = Plan {
        names,
        pins: Vec::new(),
        config: Config::parse(source.config(&config_digest)?, &config_blob)?,
        layers: manifest.layers().iter().map(layer).collect::<Result<_, ImageError>>()?,
        manifest: Some(json),
    };
    plan.check(&config_blob)
}

fn sha256(descriptor: &Descriptor) -> Result<Digest, ImageError> {
    let text = descriptor.digest().to_string();
    text.parse().map_err(|error| ImageError::Inconsistent { blob: text, reason: format!("{error}") })
}

fn parse<T: serde::de::DeserializeOwned>(blob: &str, json: &[u8]) -> Result<T, ImageError> {
    serde_json::from_slice(json).map_err(|source| ImageError::Invalid { blob: blob.to_owned(), source })
}
