//! A store says of itself what is damaged and what is garbage.

use std::fs;
use std::path::Path;

use super::Fixture;
use super::archive::image;
use super::tarball::Tarball;
use crate::check::{Depth, Finding};
use crate::host::Directories;
use crate::image::ImageStore;

fn fixture() -> Fixture {
    let fixture = Fixture::new();
    let layer = Tarball::new().file("file", &[3; 5000]).end();
    fixture.load(image(&[layer], "app")).unwrap();
    fixture
}

fn check(root: &Path, depth: Depth) -> Vec<Finding> {
    let mut found = Vec::new();
    ImageStore::check(root, depth, &mut |finding| found.push(finding)).unwrap();
    found
}

#[test]
fn a_sound_store_has_no_findings_and_is_not_changed() {
    let fixture = fixture();
    let root = fixture.directory.path();
    let before = fixture.files();
    assert_eq!(check(root, Depth::Full), []);
    assert_eq!(fixture.files(), before);
}

#[test]
fn every_damaged_file_is_named() {
    for (file, depth) in [
        ("data", Depth::Full),
        ("tree", Depth::Quick),
        ("recipe", Depth::Quick),
        ("config", Depth::Quick),
        ("catalog", Depth::Quick),
    ] {
        let fixture = fixture();
        let root = fixture.directory.path();
        let image = fixture.store.resolve("app").unwrap();
        let path = match file {
            "config" => root.join("image/blobs/sha256").join(image.id().hex()),
            "catalog" => root.join("image/repositories.json"),
            file => fixture.store.paths_of_layer(&image.layers()[0]).join(file),
        };
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        let found = check(root, depth);
        let is_named = |finding: &Finding| file == "catalog" || path.starts_with(&finding.place);
        assert!(found.iter().any(|f| !f.is_leftover && is_named(f)), "{file}: {found:?}");
    }
}

#[test]
fn what_a_damaged_catalog_does_not_name_is_not_removed() {
    let fixture = fixture();
    let root = fixture.directory.path();
    let layer = fixture.store.resolve("app").unwrap().layers()[0];
    let path = root.join("image/repositories.json");
    let catalog = fs::read_to_string(&path).unwrap();
    fs::write(&path, catalog.replace(&layer.hex(), &"0".repeat(64))).unwrap();
    let directories = Directories::at(root.to_owned(), root.join("run"));
    directories.create().unwrap();
    crate::check::repair(&directories).unwrap();
    assert!(fixture.store.paths_of_layer(&layer).join("data").exists());
    fs::write(&path, catalog).unwrap();
    assert_eq!(check(root, Depth::Full), []);
}

#[test]
fn garbage_is_found_and_swept() {
    let fixture = fixture();
    let root = fixture.directory.path();
    let merged = fs::read_dir(root.join("image/merged")).unwrap().next().unwrap().unwrap().path();
    fs::write(merged.join("disk.json"), "{}").unwrap();
    for garbage in ["staging/op-x", "layers/half", "merged/half"] {
        fs::create_dir(root.join("image").join(garbage)).unwrap();
    }
    fs::write(root.join("image/blobs/sha256").join("0".repeat(64)), "x").unwrap();
    let found = check(root, Depth::Quick);
    assert!(found.len() == 5 && found.iter().all(|finding| finding.is_leftover), "{found:?}");
    ImageStore::open(root).unwrap().sweep().unwrap();
    assert_eq!(check(root, Depth::Quick), []);
}
