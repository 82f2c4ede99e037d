//! Layers: tars of any kind, one on the other, to an EROFS image, which is read back. Each tar can be made again from what is kept of
//! it, to the byte.

use std::fs;

use holm_runtime::image::LayerLimits;
use holm_runtime::image::fuzzing::merged_image;

use crate::Target;
use crate::disk::{BLOCK, Disk};
use crate::images;
use crate::input::{Input, Output};

pub(crate) const TARGET: Target = Target {
    name: "layer_tar",
    run,
    seeds,
    max_bytes: 16384,
    code: &["archive/src/read/", "runtime/src/image/layer/", "runtime/src/image/merge/"],
    words: &[&[
        "GNU.sparse.map=",
        "GNU.sparse.size=",
        "GNU.sparse.major=1",
        "GNU.sparse.minor=0",
        "GNU.sparse.realsize=",
        "GNU.sparse.name=",
        "SCHILY.xattr.",
        "LIBARCHIVE.xattr.",
        "path=",
        "linkpath=",
        "mtime=",
        "uid=",
        "size=",
        ".wh.",
        ".wh..wh..opq",
        "ustar\\x0000",
        "ustar  \\x00",
        "../",
    ]],
};

/// A larger image is not written: a sparse file can ask for it, and gets a refusal at a limit that is higher than this.
const MAX_METADATA_BYTES: u64 = 1 << 20;

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let split = usize::from(input.u16()) * 512;
    let tar = images::sealed(input.rest());
    let (lower, upper) = tar.split_at(split.min(tar.len()));
    let layers: &[&[u8]] = if upper.is_empty() { &[lower] } else { &[lower, upper] };
    let limits = LayerLimits {
        entries: 1000,
        tar_bytes: 1 << 20,
        // Read back block by block.
        file_bytes: 8 << 20,
        tree_bytes: 1 << 20,
        path_steps: 1 << 16,
        reserve_bytes: 0,
        ..LayerLimits::default()
    };
    let directory = tempfile::tempdir().unwrap();
    let host = directory.path().join("host");
    fs::write(&host, "untouched").unwrap();
    let layers_at = directory.path().join("layers");
    fs::create_dir(&layers_at).unwrap();
    let image = merged_image(layers, &layers_at, &limits, MAX_METADATA_BYTES);
    assert_eq!(fs::read(host).unwrap(), b"untouched");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "something was made beside the layers");
    let Some((metadata, data_blocks)) = image else { return };
    assert_eq!(metadata.len() % BLOCK, 0);
    let blocks = (metadata.len() / BLOCK) as u64 + data_blocks;
    for found in Disk(&metadata).tree().values() {
        let last = found.blocks.iter().flatten().max().copied().unwrap_or(0);
        assert!(u64::from(last) < blocks, "a file points behind the disk's end");
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let layers = images::layers();
    let alone = layers.iter().map(|layer| Output::default().u16(u16::MAX).bytes(layer).0);
    let lower = &layers[0];
    let above = layers
        .iter()
        .map(|upper| Output::default().u16((lower.len() / 512) as u16).bytes(lower).bytes(upper).0);
    alone.chain(above).collect()
}
