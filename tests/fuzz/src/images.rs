//! Pieces of images, for seeds.

#[allow(dead_code)]
#[path = "../../../runtime/src/image/tests/tarball.rs"]
mod tarball;

use holm_runtime::image::Digest;
use serde_json::{Value, json};

pub(crate) use self::archives::*;

/// Words of manifests and indexes (OCI image-spec manifest.md, image-index.md).
pub(crate) const DOCUMENT_WORDS: &[&str] = &[
    "\"mediaType\":",
    "\"digest\":\"sha256:",
    "\"size\":",
    "\"platform\":{",
    "\"os\":\"linux\"",
    "\"architecture\":\"amd64\"",
    "\"manifests\":[",
    "\"layers\":[",
    "\"config\":{",
    "\"annotations\":{",
    "\"urls\":[",
    "\"subject\":{",
    "vnd.docker.reference.type",
    "application/vnd.oci.image.index.v1+json",
];

/// Tars with one of everything, and whole archives of images.
mod archives {
    use super::tarball::{Member, Tarball, one_of_everything, seal};
    use super::{Digest, config};
    use serde_json::json;

    /// Small tars, each of one thing.
    pub(crate) fn layers() -> Vec<Vec<u8>> {
        let tar = Tarball::new;
        let sparse = b"1\n0\n5\n".as_slice();
        let old_sparse = |size: &'static [u8]| Member {
            path: b"old",
            kind: b'S',
            data: b"12345",
            size: Some(size),
            ..Member::default()
        };
        vec![
            one_of_everything(),
            tar().end(),
            tar().file("a", b"hello").file("b", &[1; 5000]).end(),
            tar().directory("d").file("d/.wh..wh..opq", b"").file("d/.wh.file", b"").end(),
            tar().hard_link("x", "d/file").symlink("d/loop", "loop").file("loop/x", b"").end(),
            tar().symlink("up", "../../..").file("up/etc/passwd", b"x").end(),
            tar().file("../out", b"x").end(),
            tar().file("/abs//./x", b"x").file(".wh..wh.aufs", b"").end(),
            tar()
                .pax("path", b"renamed")
                .pax("linkpath", b"target")
                .pax("uid", b"70000")
                .pax("size", b"3")
                .file("x", b"abc")
                .end(),
            tar()
                .pax("GNU.sparse.major", b"1")
                .pax("GNU.sparse.minor", b"0")
                .pax("GNU.sparse.realsize", b"100")
                .file("x", sparse)
                .end(),
            tar()
                .pax("GNU.sparse.offset", b"0")
                .pax("GNU.sparse.numbytes", b"5")
                .pax("GNU.sparse.size", b"9")
                .file("x", b"12345")
                .end(),
            tar().member(&old_sparse(b"00000000005\0")).end(),
            tar()
                .pax("SCHILY.xattr.security.capability", &[1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0])
                .file("cap", b"")
                .end(),
            tar().pax("LIBARCHIVE.xattr.user.x", b"YWJj").pax("comment", b"x").file("x", b"").end(),
            tar()
                .member(&Member { path: b"g", kind: b'g', data: b"11 uid=123\n", ..Member::default() })
                .file("x", b"")
                .end(),
            tar()
                .member(&Member { path: b"blk", kind: b'4', device: (8, 1), uid: 5, ..Member::default() })
                .end(),
            tar().file("x", b"cut").cut(),
        ]
    }

    /// The headers in a tar with checksums that fit.
    pub(crate) fn sealed(tar: &[u8]) -> Vec<u8> {
        let mut tar = tar.to_vec();
        for block in tar.as_chunks_mut::<512>().0 {
            if &block[257..262] == b"ustar" {
                seal(block);
            }
        }
        tar
    }

    /// Archives as `docker save` writes them, of both generations, and some that are neither.
    pub(crate) fn archives() -> Vec<Vec<u8>> {
        let layers = [Tarball::new().file("a", b"hello").end(), Tarball::new().file(".wh.a", b"").end()];
        let config = config(&layers).to_string().into_bytes();
        let config_name = format!("{}.json", Digest::of(&config).hex());
        let manifest = json!([{ "Config": config_name, "RepoTags": ["x:1"], "Layers": ["l0", "l1"] }]);
        let docker = |manifest: String| {
            let tar =
                Tarball::new().file(&config_name, &config).file("l0", &layers[0]).file("l1", &layers[1]);
            tar.file("manifest.json", manifest.as_bytes()).end()
        };
        let mut oci = Tarball::new().file("oci-layout", b"{\"imageLayoutVersion\":\"1.0.0\"}");
        let documents = super::documents();
        for document in documents.iter().chain(&layers) {
            oci = oci.file(&format!("blobs/sha256/{}", Digest::of(document).hex()), document);
        }
        let mut index: serde_json::Value = serde_json::from_slice(&documents[1]).unwrap();
        index["manifests"][0]["annotations"] = json!({ "io.containerd.image.name": "docker.io/library/x:2" });
        let linked = Tarball::new().symlink("manifest.json", "/etc/passwd").hard_link("l0", "manifest.json");
        vec![
            docker(manifest.to_string()),
            docker("[]".to_owned()),
            docker(manifest.to_string().replace("l1", "../l1")),
            oci.clone().file("index.json", index.to_string().as_bytes()).end(),
            oci.file("index.json", b"{\"schemaVersion\":2,\"manifests\":[]}").end(),
            linked.end(),
            Tarball::new().directory("blobs").end(),
        ]
    }
}

/// The config of an image of these uncompressed layers.
pub(crate) fn config(layers: &[Vec<u8>]) -> Value {
    let diff_ids: Vec<String> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
    json!({
        "architecture": "amd64", "os": "linux", "created": "2026-01-02T03:04:05Z",
        "config": {
            "Cmd": ["/bin/sh"], "Entrypoint": ["/init", "-x"], "Env": ["PATH=/bin", "A"], "User": "1000:nobody",
            "WorkingDir": "srv", "ExposedPorts": { "80/tcp": {} }, "Volumes": { "/data": {} }, "Labels": { "a": "b" },
            "StopSignal": "SIGQUIT", "Healthcheck": { "Test": ["CMD", "true"], "Interval": 1_000_000 },
        },
        "history": [{ "created_by": "RUN x", "empty_layer": true }],
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    })
}

/// A manifest, an index over it, and its config; the layers are those of [`archives()`].
pub(crate) fn documents() -> Vec<Vec<u8>> {
    let layers =
        [tarball::Tarball::new().file("a", b"hello").end(), tarball::Tarball::new().file(".wh.a", b"").end()];
    let descriptor = |media_type: &str, bytes: &[u8]| json!({ "mediaType": media_type, "digest": Digest::of(bytes).to_string(), "size": bytes.len() });
    let config = config(&layers).to_string().into_bytes();
    let layer_type = "application/vnd.oci.image.layer.v1.tar";
    let layers: Vec<Value> = layers.iter().map(|layer| descriptor(layer_type, layer)).collect();
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": manifest_type,
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config), "layers": layers,
    });
    let manifest = manifest.to_string().into_bytes();
    let other = json!({
        "mediaType": manifest_type, "size": 7, "digest": Digest::of(b"other").to_string(),
        "platform": { "os": "windows", "architecture": "arm64", "variant": "v8" },
    });
    let mut ours = descriptor(manifest_type, &manifest);
    ours["platform"] = json!({ "os": "linux", "architecture": "amd64" });
    let index = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [ours, other],
    });
    vec![manifest, index.to_string().into_bytes(), config]
}
