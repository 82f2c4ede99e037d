//! Image archives around layers.

use std::io::Write;

use serde_json::{Value, json};

use super::tarball::Tarball;
use crate::image::Digest;

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Gzip,
    Zstd,
}

pub(super) fn pack(tar: &[u8], packing: Packing) -> Vec<u8> {
    match packing {
        Packing::None => tar.to_vec(),
        Packing::Gzip => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(tar).unwrap();
            out.finish().unwrap()
        }
        Packing::Zstd => zstd::encode_all(tar, 1).unwrap(),
    }
}

/// The config of an image of these uncompressed layers.
pub(super) fn config(layers: &[Vec<u8>]) -> Value {
    let diff_ids: Vec<String> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
    json!({
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-01-02T03:04:05Z",
        "config": { "Cmd": ["/bin/sh"], "Healthcheck": { "Test": ["CMD", "true"] } },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    })
}

/// `docker save` before version 25.
pub(super) fn docker(config: &Value, layers: &[Vec<u8>], tags: &[&str]) -> Vec<u8> {
    let config = serde_json::to_vec(config).unwrap();
    let config_name = format!("{}.json", Digest::of(&config).hex());
    let mut tar = Tarball::new().file(&config_name, &config);
    let mut names = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let name = format!("layer{index}/layer.tar");
        tar = tar.file(&name, layer);
        names.push(name);
    }
    let manifest = json!([{ "Config": config_name, "RepoTags": tags, "Layers": names }]);
    tar.file("manifest.json", manifest.to_string().as_bytes()).end()
}

/// A docker-archive of one image with its own config.
pub(super) fn image(layers: &[Vec<u8>], tag: &str) -> Vec<u8> {
    docker(&config(layers), layers, &[tag])
}

/// Blobs by their digests.
#[derive(Default)]
pub(super) struct Layout {
    pub(super) blobs: Vec<(String, Vec<u8>)>,
}

impl Layout {
    pub(super) fn put(&mut self, bytes: Vec<u8>) -> (Digest, usize) {
        let (digest, size) = (Digest::of(&bytes), bytes.len());
        self.blobs.push((format!("blobs/sha256/{}", digest.hex()), bytes));
        (digest, size)
    }

    /// Adds an image; gives its manifest's descriptor.
    pub(super) fn image(&mut self, config: &Value, layers: &[Vec<u8>], packing: Packing) -> Value {
        let (digest, size) = self.put(serde_json::to_vec(config).unwrap());
        let config = json!({
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest.to_string(),
            "size": size,
        });
        let layers: Vec<Value> = layers
            .iter()
            .map(|layer| {
                let (digest, size) = self.put(pack(layer, packing));
                // On purpose always this: what counts is the content.
                let media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
                json!({ "mediaType": media_type, "digest": digest.to_string(), "size": size })
            })
            .collect();
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers });
        self.document(media_type, &manifest)
    }

    pub(super) fn document(&mut self, media_type: &str, document: &Value) -> Value {
        let (digest, size) = self.put(serde_json::to_vec(document).unwrap());
        json!({ "mediaType": media_type, "digest": digest.to_string(), "size": size })
    }

    /// An index blob over these manifests.
    pub(super) fn index(&mut self, manifests: &[Value]) -> Value {
        let media_type = "application/vnd.oci.image.index.v1+json";
        self.document(
            media_type,
            &json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": manifests }),
        )
    }

    /// All files of the layout, with these descriptors in index.json.
    pub(super) fn files(&self, manifests: &[Value]) -> Vec<(String, Vec<u8>)> {
        let index = json!({ "schemaVersion": 2, "manifests": manifests });
        let mut files = self.blobs.clone();
        files.push(("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()));
        files.push(("index.json".to_owned(), index.to_string().into_bytes()));
        files
    }
}

pub(super) fn tar_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    files.iter().fold(Tarball::new(), |tar, (name, bytes)| tar.file(name, bytes)).end()
}

/// A descriptor with one more field.
pub(super) fn with(mut descriptor: Value, field: &str, value: Value) -> Value {
    descriptor[field] = value;
    descriptor
}
