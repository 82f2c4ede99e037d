//! Images in and out of the store: formats, damage, removal.

use std::fs;
use std::path::Path;
use std::process::Command;

use holm_e2e::{Holm, Outcome, TestImage};

fn tool(program: &str, arguments: &[&str]) -> Outcome {
    Command::new(program).args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}")).into()
}

fn archive() -> String {
    TestImage::Busybox.archive().to_str().unwrap().to_owned()
}

#[test]
fn archives_of_every_kind_load_to_the_same_image() {
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let from = format!("oci-archive:{}", archive());
    for (format, name) in [("docker-archive", "docker.tar"), ("oci", "layout"), ("oci-archive", "oci.tar")] {
        let tag =
            if format == "docker-archive" { ":docker.io/library/busybox:latest" } else { ":busybox:latest" };
        tool("skopeo", &["copy", "-q", &from, &format!("{format}:{}{tag}", at(name))]).ok();
    }
    let ids: Vec<String> = ["docker.tar", "layout", "oci.tar"]
        .iter()
        .map(|name| {
            let holm = Holm::empty();
            holm.holm(["load", "-q", "-i", &at(name)]).outcome().ok();
            holm.holm(["images", "-q", "--no-trunc"]).outcome().ok()
        })
        .collect();
    assert!(ids[0].starts_with("sha256:"), "{ids:?}");
    assert!(ids.iter().all(|id| id == &ids[0]), "{ids:?}");
}

#[test]
fn an_image_is_loaded_from_standard_input_listed_inspected_and_removed() {
    let holm = Holm::empty();
    let file = fs::File::open(archive()).unwrap();
    assert_eq!(holm.holm(["load"]).stdin(file).outcome().ok(), "Loaded image: busybox:latest");
    let images = holm.holm(["images"]).outcome().ok();
    assert!(images.starts_with("REPOSITORY   TAG      IMAGE ID"), "{images}");
    let json: serde_json::Value =
        serde_json::from_str(&holm.holm(["inspect", "busybox"]).outcome().ok()).unwrap();
    assert_eq!(json[0]["RepoTags"][0], "busybox:latest");
    assert_eq!(json[0]["Config"]["Cmd"][0], "sh");
    assert_eq!(json[0]["Architecture"], "amd64");
    let removed = holm.holm(["rmi", "busybox"]).outcome().ok();
    assert!(removed.starts_with("Untagged: busybox:latest\nDeleted: sha256:"), "{removed}");
    assert_eq!(regular_bytes(&holm.root().join("image/layers")), 0, "the layer's data is gone");
}

#[test]
fn m06_an_image_in_use_is_kept() {
    let holm = Holm::empty();
    holm.holm(["load", "-q", "-i", &archive()]).outcome().ok();
    let name = holm.name();
    holm.holm(["run", "--name", &name, "busybox", "true"]).outcome().ok();
    holm.holm(["rmi", "busybox"]).outcome().fails(1, "in use by container");
    holm.holm(["rm", &name]).outcome().ok();
    holm.holm(["rmi", "busybox"]).outcome().ok();
}

#[test]
fn m06_an_image_removed_by_force_goes_with_its_last_container() {
    let holm = Holm::empty();
    holm.holm(["load", "-q", "-i", &archive()]).outcome().ok();
    holm.holm(["tag", "busybox", "tools/box:1"]).outcome().ok();
    assert_eq!(holm.holm(["images", "-q"]).outcome().ok().lines().count(), 2);
    holm.holm(["rmi", "tools/box:1"]).outcome().ok();
    let (name, other) = (holm.name(), holm.name());
    holm.holm(["create", "--name", &name, "busybox", "true"]).outcome().ok();
    holm.holm(["create", "--name", &other, "busybox", "true"]).outcome().ok();
    holm.holm(["rmi", "-f", "busybox"]).outcome().ok();
    assert_eq!(holm.holm(["images", "-q"]).outcome().ok(), "");
    let layers = || fs::read_dir(holm.root().join("image/layers")).unwrap().count();
    holm.holm(["rm", &name]).outcome().ok();
    assert_eq!(layers(), 1, "a container still needs it");
    assert_eq!(holm.holm(["start", "-a", &other]).outcome().code, 0);
    let pruned = holm.holm(["container", "prune", "-f"]).outcome().ok();
    assert!(pruned.contains("Deleted Containers:") && pruned.contains("Total reclaimed space:"), "{pruned}");
    assert_eq!(layers(), 0);
}

#[test]
fn m02_damaged_archives_are_refused_and_leave_nothing() {
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let whole = fs::read(archive()).unwrap();
    let path = dir.path().join("damaged.tar");
    let holm = Holm::empty();
    // The largest blob is the layer: a byte in its middle breaks its digest.
    let mut tampered = whole.clone();
    let middle = tampered.len() / 2;
    tampered[middle] ^= 1;
    for content in [&whole[..whole.len() / 2], &whole[..700], &tampered] {
        fs::write(&path, content).unwrap();
        let out = holm.holm(["load", "-i", path.to_str().unwrap()]).outcome();
        assert_eq!(out.code, 125, "{}", out.err());
        assert_eq!(out.err().lines().count(), 1, "{}", out.err());
        assert_eq!(regular_bytes(&holm.root().join("image/layers")), 0);
        assert_eq!(holm.holm(["images", "-q"]).outcome().ok(), "");
    }
}

#[test]
fn an_image_for_another_architecture_is_refused() {
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let target = dir.path().join("arm.tar");
    let layout = dir.path().join("layout");
    tool("buildah", &["--version"]).ok();
    fs::create_dir(&layout).unwrap();
    // An image of no layers is enough.
    let script = "set -e; c=$(buildah from --arch arm64 scratch); buildah config --arch arm64 $c; \
                  buildah commit -q $c oci-archive:\"$0\" >/dev/null; buildah rm $c >/dev/null";
    tool("sh", &["-c", script, target.to_str().unwrap()]).ok();
    let holm = Holm::empty();
    holm.holm(["load", "-i", target.to_str().unwrap()]).outcome().fails(125, "arm64");
}

#[test]
fn a_root_file_system_is_imported_with_changes() {
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let script = "set -e; mkdir -p tree/bin; cp /bin/busybox tree/bin/sh; tar -C tree -cf rootfs.tar .";
    let made = Command::new("sh").args(["-c", script]).current_dir(dir.path()).output().unwrap();
    Outcome::from(made).ok();
    let holm = Holm::empty();
    let tar = dir.path().join("rootfs.tar");
    let id = holm
        .holm(["import", "-c", "CMD [\"/bin/sh\", \"-c\", \"echo $WHO\"]", "-c", "ENV WHO=imported"])
        .arg(&tar)
        .arg("mine:1")
        .outcome()
        .ok();
    assert!(id.starts_with("sha256:"), "{id}");
    assert_eq!(holm.run(["mine:1"]).ok(), "imported");
}

/// Bytes in all regular files below a directory.
fn regular_bytes(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    entries
        .map(|entry| {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() { regular_bytes(&entry.path()) } else { metadata.len() }
        })
        .sum()
}
