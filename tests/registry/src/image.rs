//! An image as a registry has it.

use std::io::Write;
use std::process::Command;

use holm_runtime::image::Digest;
use serde_json::{Value, json};

/// An image's blobs.
pub struct RegistryImage {
    /// gzip
    pub layers: Vec<Vec<u8>>,
    /// JSON
    pub config: Vec<u8>,
    /// JSON
    pub manifest: Vec<u8>,
}

/// The media type of a manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of an index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Bytes that do not compress, the same each time.
fn noise(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..length).map(step).collect()
}

/// A tar with a file of so many bytes of noise, a hole, a link and an empty directory, as GNU tar writes it.
#[must_use]
pub fn tar(seed: u32, length: usize) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::write(at("noise"), noise(seed, length)).unwrap();
    std::fs::create_dir(at(&format!("empty{seed}"))).unwrap();
    std::fs::hard_link(at("noise"), at("other-name")).unwrap();
    let mut holes = vec![0; 300_000];
    holes[200_000] = 1;
    std::fs::write(at("zeroes"), &holes).unwrap();
    let sparse = std::fs::File::create(at("sparse")).unwrap();
    sparse.set_len(1 << 20).unwrap();
    std::os::unix::fs::FileExt::write_at(&sparse, b"in the middle", 500_000).unwrap();
    let made = Command::new("tar")
        .args(["--sparse", "--sort=name", "--mtime=@1000000000", "-c", "."])
        .current_dir(directory.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    made.stdout
}

impl RegistryImage {
    /// Of so many layers, each of about so many bytes.
    /// An image of so many layers, each with so many bytes that do not compress.
    #[must_use]
    pub fn new(layers: u32, length: usize) -> Self {
        Self::of("amd64", (0..layers).map(|seed| tar(seed + 1, length)).collect())
    }

    /// An image for an architecture of these layers.
    #[must_use]
    pub fn of(architecture: &str, tars: Vec<Vec<u8>>) -> Self {
        let diff_ids: Vec<_> = tars.iter().map(|tar| Digest::of(tar).to_string()).collect();
        let config = json!({
            "architecture": architecture, "os": "linux", "config": { "Cmd": ["/bin/true"] },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = config.to_string().into_bytes();
        let gzip = |tar: &Vec<u8>| {
            // Not the compression of `push`.
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(tar).unwrap();
            out.finish().unwrap()
        };
        let layers: Vec<Vec<u8>> = tars.iter().map(gzip).collect();
        let layer_type = "application/vnd.oci.image.layer.v1.tar+gzip";
        let descriptors: Vec<Value> = layers.iter().map(|layer| descriptor(layer_type, layer)).collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config), "layers": descriptors,
        });
        Self { layers, config, manifest: manifest.to_string().into_bytes() }
    }

    /// Its ID.
    #[must_use]
    pub fn id(&self) -> Digest {
        Digest::of(&self.config)
    }
}

/// What a manifest or an index says of a blob.
#[must_use]
pub fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": Digest::of(bytes).to_string(), "size": bytes.len() })
}
