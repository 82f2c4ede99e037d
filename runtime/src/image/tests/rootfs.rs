//! What a guest would see: the assembled disk, read back.

use std::collections::BTreeMap;
use std::fs;

use super::Fixture;
use super::archive::image;
use super::disk::{BLOCK, Disk, Found};
use super::tarball::Tarball;
use crate::image::layer::{LayerError, rebuild};
use crate::image::{Digest, Image, ImageError};

/// The bytes of an image's disk.
pub(super) fn disk_of(image: &Image) -> Vec<u8> {
    let mut disk = Vec::new();
    for segment in image.rootfs().unwrap().segments {
        let file = fs::read(&segment.path).unwrap();
        assert_eq!((segment.offset_bytes, segment.length_bytes), (0, file.len() as u64));
        assert_eq!(segment.length_bytes % 4096, 0);
        disk.extend(file);
    }
    disk
}

/// A tree with contents.
pub(super) struct Tree {
    disk: Vec<u8>,
    pub(super) files: BTreeMap<String, Found>,
}

impl Tree {
    pub(super) fn of(image: &Image) -> Self {
        let disk = disk_of(image);
        let files = Disk(&disk)
            .tree()
            .into_iter()
            .map(|(path, found)| (String::from_utf8_lossy(&path).into_owned(), found))
            .collect();
        Self { disk, files }
    }

    /// All paths but the root's.
    pub(super) fn paths(&self) -> Vec<&str> {
        self.files.keys().map(String::as_str).filter(|path| !path.is_empty()).collect()
    }

    pub(super) fn content(&self, path: &str) -> Vec<u8> {
        let found = &self.files[path];
        let mut out = Vec::new();
        for block in &found.blocks {
            match block {
                Some(block) => out.extend(&self.disk[*block as usize * BLOCK..][..BLOCK]),
                None => out.extend([0; BLOCK]),
            }
        }
        out.truncate(usize::try_from(found.size_bytes).unwrap());
        out
    }
}

/// Loads layers as one image and reads its tree.
pub(super) fn tree(layers: &[Vec<u8>]) -> Result<Tree, ImageError> {
    let fixture = Fixture::new();
    let loaded = fixture.load(image(layers, "test"))?;
    // Whatever is in a tar, it can be made again.
    for layer in layers {
        let diff_id = Digest::of(layer);
        let mut again = Vec::new();
        rebuild(&fixture.store.paths_of_layer(&diff_id), &diff_id, &mut again).unwrap();
        assert!(again == *layer);
    }
    Ok(Tree::of(&fixture.store.resolve(&loaded[0].id.to_string()).unwrap()))
}

#[test]
fn a_damaged_recipe_makes_no_other_tar() {
    let fixture = Fixture::new();
    let layer = Tarball::new().file("a", &[7; 70_000]).symlink("b", "a").end();
    fixture.load(image(std::slice::from_ref(&layer), "test")).unwrap();
    let diff_id = Digest::of(&layer);
    let directory = fixture.store.paths_of_layer(&diff_id);
    let whole = std::fs::read(directory.join("recipe")).unwrap();
    for index in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[index] ^= 0x55;
        for content in [&bytes[..], &whole[..index]] {
            std::fs::write(directory.join("recipe"), content).unwrap();
            let mut again = Vec::new();
            let made = rebuild(&directory, &diff_id, &mut again);
            assert!(
                matches!(made, Err(LayerError::Damaged(_))) && again.is_empty(),
                "byte {index}: {made:?}"
            );
        }
    }
}

#[test]
fn files_of_all_layers_are_where_the_metadata_say() {
    let first = Tarball::new().file("a", &[1; 10_000]).file("b", b"lower").end();
    let second = Tarball::new().file("b", &[2; 5000]).file("d/c", b"deep").end();
    let tree = tree(&[first, second]).unwrap();
    assert_eq!(tree.paths(), ["/a", "/b", "/d", "/d/c"]);
    assert_eq!(tree.content("/a"), [1; 10_000]);
    assert_eq!(tree.content("/b"), [2; 5000]);
    assert_eq!(tree.content("/d/c"), b"deep");
}

#[test]
fn a_layer_without_surviving_data_is_not_on_the_disk() {
    let fixture = Fixture::new();
    let layers = [
        Tarball::new().file("a", b"old").end(),
        Tarball::new().file("a", b"new").end(),
        Tarball::new().directory("empty").end(),
    ];
    fixture.load(image(&layers, "x")).unwrap();
    let image = fixture.store.resolve("x").unwrap();
    let segments = image.rootfs().unwrap().segments;
    assert_eq!(segments.len(), 2);
    assert!(segments[1].path.ends_with(format!("{}/data", image.layers()[1].hex())));
}

#[test]
fn an_image_without_layers_is_an_empty_directory() {
    let tree = tree(&[]).unwrap();
    assert_eq!(tree.paths(), [""; 0]);
    assert_eq!(tree.files[""].mode, 0o040_755);
}

#[test]
fn a_missing_or_damaged_metadata_image_is_made_again() {
    let fixture = Fixture::new();
    fixture.load(image(&[Tarball::new().file("a", b"data").end()], "x")).unwrap();
    let image = fixture.store.resolve("x").unwrap();
    let before = disk_of(&image);
    let metadata = image.rootfs().unwrap().segments[0].path.clone();
    fs::remove_dir_all(metadata.parent().unwrap()).unwrap();
    assert!(disk_of(&image) == before);
    fs::write(&metadata, b"cut short").unwrap();
    assert!(disk_of(&image) == before);
}

#[test]
fn a_damaged_layer_is_named_and_a_new_load_repairs_it() {
    let fixture = Fixture::new();
    let archive = image(&[Tarball::new().file("a", &[3; 9000]).end()], "x");
    fixture.load(archive.clone()).unwrap();
    let image = fixture.store.resolve("x").unwrap();
    let before = disk_of(&image);
    let data = image.rootfs().unwrap().segments[1].path.clone();
    fs::write(&data, b"power was lost").unwrap();
    let error = image.rootfs().unwrap_err();
    assert!(matches!(&error, ImageError::Damaged { path, .. } if path == data.parent().unwrap()), "{error}");
    fixture.load(archive).unwrap();
    assert!(disk_of(&image) == before);
}
