//! Whole archives of images, as `holm load` takes them from anybody, into a store. What is refused leaves nothing behind.

use std::fs;
use std::io::Cursor;

use holm_runtime::image::{Archive, ImageStore, LayerLimits};

use crate::Target;
use crate::images;

pub(crate) const TARGET: Target = Target {
    name: "image_archive",
    run,
    seeds,
    max_bytes: 32768,
    code: &["runtime/src/image/load/"],
    words: &[
        images::DOCUMENT_WORDS,
        &[
            "manifest.json",
            "index.json",
            "oci-layout",
            "blobs/sha256/",
            "\"Config\":",
            "\"RepoTags\":[",
            "\"Layers\":[",
        ],
    ],
};

fn run(bytes: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    let limits = LayerLimits {
        entries: 1000,
        tar_bytes: 8 << 20,
        tree_bytes: 1 << 20,
        path_steps: 1 << 16,
        reserve_bytes: 0,
        ..LayerLimits::default()
    };
    let store = ImageStore::open(directory.path()).unwrap().with_limits(limits);
    // Packed by whoever asks for it: what is behind a checksum is reached all the same.
    let archive = images::sealed(bytes);
    match store.load(Archive::Stream(Box::new(Cursor::new(archive))), &mut |_| {}) {
        Ok(loaded) => {
            for image in loaded {
                let image = store.resolve(&image.id.to_string()).unwrap();
                image.rootfs().unwrap();
            }
        }
        Err(_) => {
            let layers = directory.path().join("image/layers");
            let left = fs::read_dir(layers).into_iter().flatten().count();
            assert_eq!(left, 0, "a refused archive left something");
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    images::archives()
}
