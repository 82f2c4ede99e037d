//! Every command that needs no VM, killed and failed at each named point that it passes (docs/decisions/0035-faults.md).

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::fs;
use std::path::Path;

use holm_e2e::faults::{Installation, Matrix, STORES};
use holm_faults::Fault;
use holm_runtime::image::Digest;
use holm_test_registry::{FaultyRegistry, RegistryImage};
use serde_json::json;

/// An image of two layers, as `docker save` writes it.
fn archive(directory: &Path) -> std::path::PathBuf {
    let layers = [1, 2].map(|seed| holm_test_registry::tar(seed, 20_000));
    let diff_ids = layers.each_ref().map(|layer| Digest::of(layer).to_string());
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": { "Cmd": ["/bin/true"] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let manifest = json!([{ "Config": "config.json", "RepoTags": ["app"], "Layers": ["1.tar", "2.tar"] }]);
    let archive = directory.join("app");
    fs::create_dir_all(&archive).unwrap();
    for (file, bytes) in [
        ("config.json", config.to_string().as_bytes()),
        ("1.tar", &layers[0]),
        ("2.tar", &layers[1]),
        ("manifest.json", manifest.to_string().as_bytes()),
    ] {
        fs::write(archive.join(file), bytes).unwrap();
    }
    archive
}

/// Faults at all points of a scenario.
fn survive(name: &str) {
    let directory = tempfile::tempdir().unwrap();
    let registry = FaultyRegistry::with(&RegistryImage::new(2, 20_000));
    let installation = Installation {
        program: env!("CARGO_BIN_EXE_holm").into(),
        archive: archive(directory.path()),
        image: "app".to_owned(),
        remote: Some(registry.name()),
        templates: None,
        containerd: None,
        faults: None,
    };
    let mut matrix = Matrix::new(installation, false);
    let scenario = STORES.iter().find(|scenario| scenario.name == name).unwrap();
    // What fails with EIO fails with ENOSPC just so; `make faults` tries both.
    matrix.run(scenario, &|_, fault| matches!(fault, Fault::Kill | Fault::NoSpace));
    matrix.conclude(false);
}

#[test]
fn load_survives_faults_at_every_point() {
    survive("load");
}

#[test]
fn pull_survives_faults_at_every_point() {
    survive("pull");
}

#[test]
fn names_of_images_survive_faults_at_every_point() {
    survive("names");
}

#[test]
fn create_rename_and_rm_survive_faults_at_every_point() {
    survive("create");
}

#[test]
fn removing_a_used_image_survives_faults_at_every_point() {
    survive("rmi -f");
}

#[test]
fn volumes_survive_faults_at_every_point() {
    survive("volumes");
}

#[test]
fn sweeping_leftovers_survives_faults_at_every_point() {
    survive("leftovers");
}
