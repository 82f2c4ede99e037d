//! What is saved is loaded, and by others too.

use std::fs;
use std::io::{self, Write};
use std::process::Command;

use serde_json::json;

use super::Fixture;
use super::archive::{config, docker, image};
use super::tarball::Tarball;
use crate::image::{ImageError, Reference, Selection};

fn layer(name: &str) -> Vec<u8> {
    Tarball::new().file(name, &[7; 300_000]).symlink("link", name).end()
}

fn save(fixture: &Fixture, names: &[&str]) -> Vec<u8> {
    let mut selection = Selection::default();
    for name in names {
        selection.add(&fixture.store, name).unwrap();
    }
    let mut out = Vec::new();
    fixture.store.save(&selection, &mut out).unwrap();
    out
}

fn names(fixture: &Fixture, id: &str) -> Vec<String> {
    fixture.store.resolve(id).unwrap().names().iter().map(Reference::familiar).collect()
}

#[test]
fn a_saved_image_is_loaded_the_same() {
    let (one, two) = (Fixture::new(), Fixture::new());
    let layers = [layer("a"), layer("b"), layer("a")];
    let loaded = one.load(docker(&config(&layers), &layers, &["app:v1", "app:v2", "other"])).unwrap();
    let id = loaded[0].id.to_string();
    let archive = save(&one, &["app"]);
    assert_eq!(two.load(archive.clone()).unwrap()[0].id.to_string(), id);
    assert_eq!(names(&two, &id), ["app:v1", "app:v2"]);
    assert!(save(&two, &["app:v1", "app:v2"]) == archive, "it is the same, byte for byte");
    let three = Fixture::new();
    three.load(save(&one, &[&id])).unwrap();
    assert_eq!(names(&three, &id), [] as [&str; 0]);
}

#[test]
fn several_images_share_their_layers() {
    let (one, two) = (Fixture::new(), Fixture::new());
    one.load(image(&[layer("a"), layer("b")], "first")).unwrap();
    let first = save(&one, &["first"]).len();
    one.load(image(&[layer("a"), layer("c")], "second")).unwrap();
    let archive = save(&one, &["second", "first", "second:latest"]);
    assert!(archive.len() < first * 7 / 4, "{} {first}", archive.len());
    assert_eq!(two.load(archive).unwrap().len(), 2);
    assert_eq!(two.store.list().unwrap().len(), 2);
}

#[test]
fn skopeo_reads_both_forms() {
    if Command::new("skopeo").arg("--version").output().is_err() {
        io::stderr().write_all(b"SKIPPED: skopeo is not installed\n").unwrap();
        return;
    }
    let fixture = Fixture::new();
    let id = fixture.load(image(&[layer("a"), layer("b")], "app:v1")).unwrap()[0].id;
    let path = fixture.directory.path().join("saved.tar");
    fs::write(&path, save(&fixture, &["app:v1"])).unwrap();
    for form in ["docker-archive", "oci-archive"] {
        let output = Command::new("skopeo")
            .args(["inspect", "--raw", "--config", &format!("{form}:{}", path.display())])
            .output()
            .unwrap();
        assert!(output.status.success(), "{form}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(crate::image::Digest::of(output.stdout.trim_ascii_end()), id, "{form}");
    }
}

#[test]
fn a_damaged_layer_and_a_full_disk_are_told() {
    let fixture = Fixture::new();
    fixture.load(image(&[layer("a")], "app")).unwrap();
    let mut selection = Selection::default();
    selection.add(&fixture.store, "app").unwrap();
    let mut full = fs::File::options().write(true).open("/dev/full").unwrap();
    let error = fixture.store.save(&selection, &mut full).unwrap_err();
    assert!(matches!(&error, ImageError::NoSpace(_)), "{error}");
    let image = fixture.store.resolve("app").unwrap();
    let data = fixture.store.paths_of_layer(&image.layers()[0]).join("data");
    fs::write(&data, vec![8; fs::read(&data).unwrap().len()]).unwrap();
    let error = fixture.store.save(&selection, &mut io::sink()).unwrap_err();
    assert!(matches!(&error, ImageError::Layer { .. }), "{error}");
    assert!(matches!(selection.add(&fixture.store, "nope"), Err(ImageError::NotFound(_))));
}

#[test]
fn history_tells_of_layers_and_of_steps_without_any() {
    let fixture = Fixture::new();
    let layers = [layer("a"), layer("b")];
    let mut config = config(&layers);
    config["history"] = json!([
        { "created": "2026-01-01T00:00:00Z", "created_by": "ADD a" },
        { "created_by": "ENV x=y", "empty_layer": true, "comment": "why" },
        { "created_by": "RUN b" },
    ]);
    fixture.load(docker(&config, &layers, &["app"])).unwrap();
    let steps = fixture.store.resolve("app").unwrap().history().unwrap();
    let sizes: Vec<_> = steps.iter().map(|step| (step.created_by.as_str(), step.size_bytes)).collect();
    assert_eq!(sizes, [("RUN b", 300_000), ("ENV x=y", 0), ("ADD a", 300_000)]);
    assert_eq!(steps[1].comment, "why");
    assert!(steps[2].created.is_some() && steps[0].created.is_none());
    config["history"].as_array_mut().unwrap().push(json!({}));
    fixture.load(docker(&config, &layers, &["liar"])).unwrap();
    let error = fixture.store.resolve("liar").unwrap().history().unwrap_err();
    assert!(matches!(error, ImageError::Inconsistent { .. }));
}
