//! `push`: what a repository lacks of an image's blobs, then the manifest.
//!
//! A layer goes as the blob that the image came with if the registry has that blob; otherwise its tar is made again from
//! the store and compressed, which gives a blob of another digest, and so the image another manifest. The config, and
//! with it the image's ID, is always the same.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::image::hashed::Hashed;
use crate::image::layer::{LayerError, rebuild};
use crate::image::load::layer_error;
use crate::image::media_type::{
    DOCKER_LAYER_GZIP, DOCKER_MANIFEST, OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST, descriptor,
};
use crate::image::store::Staging;
use crate::image::{Digest, Image, ImageError, Reference};
use crate::registry::{Registries, Session};

/// How far a push is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushProgress {
    /// A layer is looked at.
    Preparing(Digest),
    /// A layer is sent.
    Pushing {
        /// Its diffID.
        diff_id: Digest,
        /// Compressed bytes so far.
        sent_bytes: u64,
        /// Compressed bytes in all.
        total_bytes: u64,
    },
    /// A layer is there.
    Pushed(Digest),
    /// A layer was there before.
    Exists(Digest),
    /// A layer was taken from another repository of the registry.
    Mounted(Digest, String),
}

/// What `push` made of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Of the manifest.
    pub digest: Digest,
    /// The manifest's length in bytes.
    pub size_bytes: usize,
}

/// Called from the thread that sends.
pub type PushReport = Arc<dyn Fn(PushProgress) + Send + Sync>;

struct Push<'a> {
    image: &'a Image,
    session: &'a Session,
    repository: &'a str,
    /// Other repositories of this registry that have the image's blobs.
    others: Vec<String>,
    staging: &'a Staging,
    report: &'a PushReport,
}

/// Sends an image under a name. `manifest` is the one that it came with.
pub(in crate::image) fn push(
    staging: &Staging,
    registries: &Registries,
    image: &Image,
    manifest: Option<&[u8]>,
    name: &Reference,
    report: &PushReport,
) -> Result<Pushed, ImageError> {
    let session = registries.connect(name)?;
    let others = image.pins().iter().filter(|pin| pin.registry() == name.registry());
    let others = others.map(|pin| pin.repository().to_owned()).filter(|other| other != name.repository());
    let push = Push {
        image,
        session: &session,
        repository: name.repository(),
        others: others.collect(),
        staging,
        report,
    };
    let (media_type, bytes) = push.blobs(manifest)?;
    let digest = Digest::of(&bytes);
    let tag = name.tag().unwrap_or("latest");
    session.put_manifest(name.repository(), tag, &media_type, &bytes)?;
    Ok(Pushed { digest, size_bytes: bytes.len() })
}

impl Push<'_> {
    /// Sends layers and config; gives the manifest that names them, and its type.
    fn blobs(&self, manifest: Option<&[u8]>) -> Result<(String, Vec<u8>), ImageError> {
        let known: Option<Value> = manifest.and_then(|json| serde_json::from_slice(json).ok());
        let known_layers = known.as_ref().and_then(|json| json.get("layers")?.as_array().cloned());
        let mut known_layers = known_layers.unwrap_or_default();
        known_layers.resize(self.image.layers().len(), Value::Null);
        let media_type = known.as_ref().and_then(|json| json.get("mediaType")?.as_str());
        let media_type = media_type.unwrap_or(OCI_MANIFEST).to_owned();
        let layer_type = if media_type == DOCKER_MANIFEST { DOCKER_LAYER_GZIP } else { OCI_LAYER_GZIP };
        let mut layers = Vec::new();
        for (diff_id, descriptor) in self.image.layers().iter().zip(&known_layers) {
            layers.push(self.layer(diff_id, descriptor, layer_type)?);
        }
        let (id, config) = (self.image.id(), self.image.config_json());
        if !self.session.has_blob(self.repository, &id)? {
            self.session.upload_bytes(self.repository, &id, config)?;
        }
        match (manifest, known) {
            // As it came, byte for byte.
            (Some(bytes), Some(_)) if layers == known_layers => Ok((media_type, bytes.to_vec())),
            (_, known) => {
                let mut document = known.unwrap_or_else(|| {
                    let config = descriptor(OCI_CONFIG, &id, config.len() as u64);
                    json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config })
                });
                if let Some(fields) = document.as_object_mut() {
                    fields.insert("layers".to_owned(), layers.into());
                }
                let bytes = serde_json::to_vec(&document)
                    .map_err(|source| ImageError::Invalid { blob: "the manifest".to_owned(), source })?;
                Ok((media_type, bytes))
            }
        }
    }

    /// Sees to it that the repository has a layer; gives its descriptor there.
    fn layer(&self, diff_id: &Digest, known: &Value, media_type: &str) -> Result<Value, ImageError> {
        let say = |event| (self.report)(event);
        say(PushProgress::Preparing(*diff_id));
        let digest = known.get("digest").and_then(Value::as_str).and_then(|text| text.parse::<Digest>().ok());
        if let Some(digest) = digest {
            if self.session.has_blob(self.repository, &digest)? {
                say(PushProgress::Exists(*diff_id));
                return Ok(known.clone());
            }
            for other in &self.others {
                if self.session.mount_blob(self.repository, other, &digest)? {
                    say(PushProgress::Mounted(*diff_id, other.clone()));
                    return Ok(known.clone());
                }
            }
        }
        // A layer that was not compressed is the same blob again.
        let plain = digest == Some(*diff_id);
        let (path, digest, size_bytes) = self.pack(diff_id, plain)?;
        if self.session.has_blob(self.repository, &digest)? {
            say(PushProgress::Exists(*diff_id));
        } else {
            let (report, diff_id) = (self.report.clone(), *diff_id);
            let sent = Arc::new(move |sent_bytes| {
                report(PushProgress::Pushing { diff_id, sent_bytes, total_bytes: size_bytes });
            });
            self.session.upload_file(self.repository, &digest, &path, &(sent as _))?;
            say(PushProgress::Pushed(diff_id));
        }
        // The next layer needs the space.
        crate::durable::remove(&path).map_err(ImageError::io("remove", &path))?;
        if plain {
            return Ok(known.clone());
        }
        Ok(descriptor(media_type, &digest, size_bytes))
    }

    /// Makes a layer's blob in the staging directory. The same layer gives the same blob each time.
    fn pack(&self, diff_id: &Digest, plain: bool) -> Result<(PathBuf, Digest, u64), ImageError> {
        let path = self.staging.file("blob");
        let file = File::create(&path).map_err(ImageError::io("create", &path))?;
        let mut out = Hashed::new(file);
        let layer: &Path = &self.image.paths.layer(diff_id);
        if plain {
            rebuild(layer, diff_id, &mut out).map_err(layer_error(diff_id))?;
        } else {
            let mut gzip = GzEncoder::new(out, flate2::Compression::default());
            rebuild(layer, diff_id, &mut gzip).map_err(layer_error(diff_id))?;
            out = gzip.finish().map_err(LayerError::write).map_err(layer_error(diff_id))?;
        }
        let (_, digest, bytes) = out.finish();
        Ok((path, digest, bytes))
    }
}
