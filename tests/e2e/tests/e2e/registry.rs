//! Images from and to a registry on the same host: pulled, run, pushed, and run by somebody else.

use std::process::Command;

use holm_e2e::{Holm, Outcome, TestImage};
use holm_test_registry::{DockerRegistry, Mode};

/// A registry that has busybox, put there by skopeo.
fn with_busybox() -> DockerRegistry {
    let registry = DockerRegistry::start(Mode::Plain);
    let from = format!("oci-archive:{}", TestImage::Busybox.archive().display());
    let to = format!("docker://{}", registry.name("busybox:latest"));
    tool("skopeo", &["copy", "-q", "--dest-tls-verify=false", &from, &to]).ok();
    registry
}

/// podman with storage of its own.
struct Podman {
    storage: tempfile::TempDir,
}

impl Podman {
    fn new() -> Self {
        Self { storage: tempfile::tempdir_in("/var/tmp").unwrap() }
    }

    fn podman(&self, arguments: &[&str]) -> Outcome {
        let root = self.storage.path().join("root");
        let options = ["--root", root.to_str().unwrap(), "--storage-driver=vfs", "--cgroup-manager=cgroupfs"];
        tool("podman", &[options.as_slice(), arguments].concat())
    }

    /// Pulls an image from a registry without TLS, and runs it.
    fn run(&self, image: &str) -> String {
        self.podman(&["run", "--rm", "--runtime=crun", "--network=none", "--tls-verify=false", image]).ok()
    }

    /// Of the images that it has.
    fn ids(&self) -> String {
        self.podman(&["images", "--no-trunc", "-q"]).ok()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // Its files belong to root of podman's own making, and may be mounts.
        let _ = self.podman(&["system", "reset", "--force"]);
    }
}

fn tool(program: &str, arguments: &[&str]) -> Outcome {
    Command::new(program).args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}")).into()
}

#[test]
fn m03_run_pulls_what_is_missing_and_only_that() {
    let (registry, holm) = (with_busybox(), Holm::empty());
    let name = registry.name("busybox");
    holm.run(["--pull", "never", &name, "true"]).fails(125, "no such image");
    let first = holm.run([name.as_str(), "echo", "hello"]);
    assert_eq!(first.ok(), "hello");
    assert!(
        first.err().starts_with(&format!("Unable to find image '{name}:latest' locally\n")),
        "{}",
        first.err()
    );
    assert!(first.err().contains("Status: Downloaded newer image"), "{}", first.err());
    let always = holm.run(["--pull", "always", &name, "echo", "again"]);
    assert_eq!(always.ok(), "again");
    assert!(always.err().contains("Status: Image is up to date"), "{}", always.err());
    // What is there needs no registry.
    drop(registry);
    let local = holm.run([name.as_str(), "echo", "local"]);
    assert_eq!((local.ok().as_str(), local.err().as_str()), ("local", ""));
}

#[test]
fn m05_an_old_digest_still_runs_after_the_tag_moved() {
    let (registry, holm) = (with_busybox(), Holm::empty());
    let name = registry.name("busybox:latest");
    let pulled = holm.holm(["pull", &name]).outcome().ok();
    let digest = pulled.lines().find_map(|line| line.strip_prefix("Digest: ")).unwrap().to_owned();
    let changed = Holm::empty();
    let tree = tempfile::tempdir_in("/var/tmp").unwrap();
    let script = "set -e; mkdir -p tree/bin; cp /bin/busybox tree/bin/sh; tar -C tree -cf rootfs.tar .";
    Outcome::from(Command::new("sh").args(["-c", script]).current_dir(tree.path()).output().unwrap()).ok();
    changed.holm(["import"]).arg(tree.path().join("rootfs.tar")).arg(&name).outcome().ok();
    changed.holm(["push", &name]).outcome().ok();
    assert!(holm.holm(["pull", &name]).outcome().ok().contains("Downloaded newer image"));
    let pinned = format!("{}@{digest}", registry.name("busybox"));
    assert_eq!(holm.run(["--pull", "never", &pinned, "echo", "old"]).ok(), "old");
    assert_eq!(holm.run(["--pull", "never", &name, "/bin/sh", "-c", "echo new"]).ok(), "new");
}

#[test]
fn what_holm_pushes_runs_under_podman() {
    let (registry, holm) = (DockerRegistry::start(Mode::Plain), Holm::empty());
    let name = registry.name("made/here:v1");
    let tree = tempfile::tempdir_in("/var/tmp").unwrap();
    let script = "set -e; mkdir -p tree/bin; cp /bin/busybox tree/bin/sh; tar -C tree -cf rootfs.tar .";
    Outcome::from(Command::new("sh").args(["-c", script]).current_dir(tree.path()).output().unwrap()).ok();
    let rootfs = tree.path().join("rootfs.tar");
    let id = holm.holm(["import", "-c", "CMD [\"/bin/sh\", \"-c\", \"echo hello\"]"]).arg(&rootfs).arg(&name);
    let id = id.outcome().ok();
    let pushed = holm.holm(["push", &name]).outcome().ok();
    assert!(pushed.lines().last().unwrap().starts_with("v1: digest: sha256:"), "{pushed}");
    let podman = Podman::new();
    let ran = podman.run(&name);
    let there = podman.ids();
    drop(podman);
    assert_eq!(ran.lines().last(), Some("hello"));
    assert_eq!(there, id, "the same image");
}

#[test]
fn m13_a_committed_image_runs_under_podman() {
    let (registry, holm) = (with_busybox(), Holm::empty());
    let (base, name) = (registry.name("busybox:latest"), registry.name("made/here:v2"));
    let container = holm.name();
    let script = "echo hello >/etc/made && rm /etc/passwd";
    holm.holm(["run", "--name", &container, &base, "sh", "-c", script]).outcome().ok();
    let change = "CMD [\"sh\", \"-c\", \"cat /etc/made; ls /etc\"]";
    let id = holm.holm(["commit", "-c", change, &container, &name]).outcome().ok();
    holm.holm(["push", &name]).outcome().ok();
    let podman = Podman::new();
    let ran = podman.run(&name);
    let there = podman.ids();
    drop(podman);
    assert!(ran.starts_with("hello\n") && !ran.contains("passwd"), "{ran}");
    assert_eq!(there, id, "the same image");
}

#[test]
fn an_image_that_was_pulled_is_pushed_as_it_came() {
    let (registry, holm) = (with_busybox(), Holm::empty());
    let name = registry.name("busybox:latest");
    let digest = || {
        let from = format!("docker://{name}");
        tool("skopeo", &["inspect", "--tls-verify=false", "--format={{.Digest}}", &from]).ok()
    };
    let before = digest();
    holm.holm(["pull", "-q", &name]).outcome().ok();
    let pushed = holm.holm(["push", &name]).outcome().ok();
    assert!(pushed.contains(": Layer already exists") && !pushed.contains(": Pushed"), "{pushed}");
    assert!(pushed.contains(&before), "{pushed}");
    assert_eq!(digest(), before);
}
