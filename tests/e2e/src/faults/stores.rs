//! Scenarios that need no VM: images, containers that never ran, volumes.

use std::fs;

use super::bench::Bench;
use super::matrix::Scenario;

/// All of them.
pub const STORES: &[Scenario] = &[
    Scenario { name: "load", prepare: |_| {}, act: load, settle: load_again },
    Scenario { name: "pull", prepare: |_| {}, act: pull, settle: pull_again },
    Scenario { name: "names", prepare: |bench| bench.load(), act: names, settle: load_again },
    Scenario { name: "create", prepare: |bench| bench.load(), act: create, settle: create_again },
    Scenario { name: "rmi -f", prepare: used_image, act: remove_used, settle: load_again },
    Scenario { name: "volumes", prepare: |bench| bench.load(), act: volumes, settle: volumes_again },
    Scenario { name: "leftovers", prepare: leftovers, act: sweep, settle: load_again },
];

fn load(bench: &mut Bench) {
    let archive = bench.installation.archive.display().to_string();
    bench.try_(&["load", "-q", "-i", &archive]);
    // Layers that are there are taken over.
    bench.try_(&["load", "-q", "-i", &archive]);
}

fn load_again(bench: &mut Bench) {
    bench.load();
    bench.ok(&["image", "inspect", &bench.installation.image]);
}

fn pull(bench: &mut Bench) {
    if let Some(remote) = bench.installation.remote.clone() {
        bench.try_(&["pull", "-q", &remote]);
    }
}

fn pull_again(bench: &mut Bench) {
    if let Some(remote) = bench.installation.remote.clone() {
        bench.ok(&["pull", "-q", &remote]);
    }
}

fn names(bench: &mut Bench) {
    let image = bench.installation.image.clone();
    bench.try_(&["tag", &image, "other:v1"]);
    bench.try_(&["rmi", "other:v1"]);
    bench.try_(&["rmi", &image]);
}

fn create(bench: &mut Bench) {
    let image = bench.installation.image.clone();
    bench.try_(&["create", "--name", "one", &image, "true"]);
    bench.try_(&["rename", "one", "two"]);
    bench.try_(&["rm", "two"]);
    bench.try_(&["create", "--rm", "--name", "brief", &image, "true"]);
    bench.try_(&["rm", "brief"]);
}

/// Names are free or a container's, which can be removed.
fn create_again(bench: &mut Bench) {
    let image = bench.installation.image.clone();
    for name in bench.lines(&["ps", "-a", "--format", "{{.Names}}"]) {
        bench.ok(&["rm", &name]);
    }
    for name in ["one", "two"] {
        bench.ok(&["create", "--name", name, &image, "true"]);
        bench.ok(&["rm", name]);
    }
}

fn used_image(bench: &mut Bench) {
    bench.load();
    bench.ok(&["create", "--name", "user", &bench.installation.image, "true"]);
}

/// Its files go with the last container.
fn remove_used(bench: &mut Bench) {
    let image = bench.installation.image.clone();
    bench.try_(&["rmi", "-f", &image]);
    bench.try_(&["rm", "user"]);
}

fn volumes(bench: &mut Bench) {
    let image = bench.installation.image.clone();
    bench.try_(&["volume", "create", "data"]);
    bench.try_(&["volume", "create", "--driver", "block", "--opt", "size=64m", "disk"]);
    bench.try_(&["create", "--name", "user", "-v", "/anonymous", "-v", "data:/data", &image, "true"]);
    bench.try_(&["rm", "-v", "user"]);
    bench.try_(&["volume", "rm", "data"]);
    bench.try_(&["volume", "rm", "disk"]);
}

fn volumes_again(bench: &mut Bench) {
    for name in bench.lines(&["ps", "-a", "--format", "{{.Names}}"]) {
        bench.ok(&["rm", "-v", &name]);
    }
    bench.ok(&["volume", "create", "data"]);
    bench.ok(&["volume", "create", "--driver", "block", "--opt", "size=64m", "disk"]);
    bench.ok(&["volume", "rm", "data", "disk"]);
}

/// Of every kind that a killed command can leave.
fn leftovers(bench: &mut Bench) {
    bench.load();
    for directory in ["image/staging/op-killed", "volumes/.new-killed/_data", "containers/.new-killed"] {
        let path = bench.root().join(directory);
        fs::create_dir_all(&path).expect("leftover");
        fs::write(path.join("half"), "x").expect("leftover");
    }
    bench.ok(&["create", "--rm", &bench.installation.image, "true"]);
    // The next command begins another life of the host.
    fs::remove_file(bench.run().join("life")).expect("life");
}

fn sweep(bench: &mut Bench) {
    bench.try_(&["images"]);
    bench.try_(&["ps", "-a"]);
    bench.try_(&["volume", "create", "data"]);
}
