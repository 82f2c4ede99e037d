//! The documents of an archive: a manifest per image, and the two indexes over them.

use serde_json::{Map, Value, json};

use crate::image::media_type::{OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, descriptor};
use crate::image::{Digest, Image, ImageError, Reference};

/// What the indexes will say.
#[derive(Debug, Default)]
pub(super) struct Documents {
    /// Descriptors, of `index.json`.
    manifests: Vec<Value>,
    /// Of `manifest.json`.
    items: Vec<Value>,
}

impl Documents {
    /// Notes an image; gives its config and its manifest.
    pub(super) fn add(
        &mut self,
        image: &Image,
        layers: &[(Digest, u64)],
        names: &[Reference],
    ) -> Result<[Vec<u8>; 2], ImageError> {
        let config = image.config_json().to_vec();
        let descriptors: Vec<Value> =
            layers.iter().map(|(id, bytes)| descriptor(OCI_LAYER, id, *bytes)).collect();
        let manifest = serialized(&json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor(OCI_CONFIG, &image.id(), config.len() as u64),
            "layers": descriptors,
        }))?;
        let manifest_descriptor = descriptor(OCI_MANIFEST, &Digest::of(&manifest), manifest.len() as u64);
        if names.is_empty() {
            self.manifests.push(manifest_descriptor.clone());
        }
        for name in names {
            let mut named = manifest_descriptor.clone();
            if let Some(fields) = named.as_object_mut() {
                fields.insert("annotations".to_owned(), annotations(name));
            }
            self.manifests.push(named);
        }
        let sources: Map<String, Value> =
            layers.iter().zip(descriptors).map(|((id, _), source)| (id.to_string(), source)).collect();
        self.items.push(json!({
            "Config": path_of(&image.id()),
            "RepoTags": if names.is_empty() { Value::Null } else { names.iter().map(Reference::familiar).collect() },
            "Layers": layers.iter().map(|(id, _)| path_of(id)).collect::<Vec<_>>(),
            "LayerSources": sources,
        }));
        Ok([config, manifest])
    }

    /// The archive's other files, by name.
    pub(super) fn finish(self) -> Result<[(&'static str, Vec<u8>); 3], ImageError> {
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": self.manifests });
        Ok([
            ("index.json", serialized(&index)?),
            ("manifest.json", serialized(&self.items.into())?),
            ("oci-layout", serialized(&json!({ "imageLayoutVersion": "1.0.0" }))?),
        ])
    }
}

/// Where the archive has a blob.
pub(super) fn path_of(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn annotations(name: &Reference) -> Value {
    json!({
        "io.containerd.image.name": name.to_string(),
        "org.opencontainers.image.ref.name": name.tag().unwrap_or("latest"),
    })
}

fn serialized(document: &Value) -> Result<Vec<u8>, ImageError> {
    let failed = |source| ImageError::Invalid { blob: "the archive's manifest".to_owned(), source };
    serde_json::to_vec(document).map_err(failed)
}
