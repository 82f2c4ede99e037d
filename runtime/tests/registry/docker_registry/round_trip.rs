//! What is pushed to a real registry comes back as it was.

use std::io::Cursor;
use std::process::Command;
use std::sync::{Arc, Mutex};

use holm_runtime::image::{Archive, ImportOptions, PushProgress, Reference};

use crate::{Host, chain};
use holm_test_registry::{DockerRegistry, Mode, tar};

/// Pushes an image of the store and gives what happened to its layers.
fn push(host: &Host, from: &str, to: &str) -> (String, Vec<PushProgress>) {
    let name: Reference = to.parse().unwrap();
    let image = host.store.resolve(from).unwrap();
    let events = Arc::new(Mutex::new(Vec::new()));
    let noted = events.clone();
    let report = Arc::new(move |event| noted.lock().unwrap().push(event));
    let pushed = host.store.push(&host.registries, &image, &name, &(report as _)).unwrap();
    let events = events.lock().unwrap().clone();
    (pushed.digest.to_string(), events)
}

fn import(host: &Host, name: &str) -> String {
    let options = ImportOptions { name: Some(name.parse().unwrap()), ..ImportOptions::default() };
    let tar = Archive::Stream(Box::new(Cursor::new(tar(1, 700_000))));
    host.store.import(tar, &options, &mut |_| {}).unwrap().id.to_string()
}

#[test]
fn an_image_that_was_pushed_is_pulled_the_same() {
    let registry = DockerRegistry::start(Mode::Plain);
    let (host, other) = (Host::new(), Host::new());
    let name = format!("{}/some/thing:v1", registry.host);
    let id = import(&host, &name);
    let (digest, events) = push(&host, &name, &name);
    assert!(matches!(events.last(), Some(PushProgress::Pushed(_))), "{events:?}");
    let pulled = other.pull(&name).unwrap();
    assert_eq!(
        (pulled.id.to_string(), pulled.digest.to_string(), pulled.is_new),
        (id.clone(), digest.clone(), true)
    );
    assert!(!other.pull(&name).unwrap().is_new);
    // Once more from there: nothing is sent, and the manifest stays what it was.
    let (again, events) = push(&other, &name, &name);
    assert_eq!(again, digest);
    assert!(matches!(events.last(), Some(PushProgress::Exists(_))), "{events:?}");
    // To another repository the registry copies by itself.
    let copy = format!("{}/copy:v2", registry.host);
    let (copied, events) = push(&other, &name, &copy);
    assert_eq!(copied, digest);
    assert!(
        matches!(events.last(), Some(PushProgress::Mounted(_, from)) if from == "some/thing"),
        "{events:?}"
    );
    // By digest, and all tags.
    let third = Host::new();
    let pinned = format!("{}/copy@{digest}", registry.host);
    third.pull(&pinned).unwrap();
    let image = third.store.resolve(&pinned).unwrap();
    assert_eq!((image.id().to_string(), image.names().len()), (id, 0));
    assert_eq!(third.registries.tags(&copy.parse().unwrap()).unwrap(), ["v2"]);
}

#[test]
fn what_is_not_there_is_said_to_be_not_there() {
    let registry = DockerRegistry::start(Mode::Plain);
    let host = Host::new();
    let error = host.pull(&format!("{}/nothing:here", registry.host)).unwrap_err();
    let text = chain(&error);
    assert!(
        text.starts_with("manifest for 127.0.0.1:") && text.contains("/nothing:here not found"),
        "{text}"
    );
}

#[test]
fn an_image_of_dockers_own_format_goes_round_with_skopeo() {
    let registry = DockerRegistry::start(Mode::Plain);
    let host = Host::new();
    let name = format!("{}/oci:1", registry.host);
    let id = import(&host, &name);
    push(&host, &name, &name);
    let docker = format!("{}/docker:1", registry.host);
    let convert = ["copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", "--format=v2s2"];
    let (from, to) = (format!("docker://{name}"), format!("docker://{docker}"));
    let copied = Command::new("skopeo").args(convert).args([from, to]).output().unwrap();
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    let other = Host::new();
    assert_eq!(other.pull(&docker).unwrap().id.to_string(), id);
    // Where none of its blobs are, it is made anew, in Docker's format again, and skopeo checks every digest.
    let elsewhere = DockerRegistry::start(Mode::Plain);
    let there = format!("{}/docker:1", elsewhere.host);
    push(&other, &docker, &there);
    let layout = other.directory.path().join("layout");
    let verified = Command::new("skopeo")
        .args(["copy", "-q", "--src-tls-verify=false", &format!("docker://{there}")])
        .arg(format!("dir:{}", layout.display()))
        .output()
        .unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let manifest = std::fs::read_to_string(layout.join("manifest.json")).unwrap();
    assert!(manifest.contains("vnd.docker.distribution.manifest.v2") && manifest.contains(&id), "{manifest}");
}
