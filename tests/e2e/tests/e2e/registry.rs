//! Images from and to a registry on the same host: pulled, run, pushed, and run by somebody else.

use std::process::Command;

use holm_e2e::{Docker, Holm, Outcome, Podman, TestImage};
use holm_test_registry::{DockerRegistry, Mode};

/// A registry that has busybox, put there by skopeo.
fn with_busybox() -> DockerRegistry {
    let registry = DockerRegistry::start(Mode::Plain);
    let from = format!("oci-archive:{}", TestImage::Busybox.archive().display());
    let to = format!("docker://{}", registry.name("busybox:latest"));
    tool("skopeo", &["copy", "-q", "--dest-tls-verify=false", &from, &to]).ok();
    registry
}

/// What an image of a registry without TLS prints under podman with crun, and the id that podman gives it.
fn under_podman(image: &str) -> (String, String) {
    let podman = Podman::over("crun");
    let options = ["run", "--rm", "--network", "none", "--pull", "always", "--tls-verify=false"];
    let ran = podman.podman([&options[..], &[image]].concat()).ok();
    let id = podman.podman(["images", "--no-trunc", "-q", image]).ok();
    podman.podman(["rmi", image]).ok();
    (ran, id)
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
    let (ran, there) = under_podman(&name);
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
    let (ran, there) = under_podman(&name);
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

#[test]
fn docker_loads_what_holm_saves_and_holm_runs_what_docker_pushes() {
    let (registry, holm, docker) = (with_busybox(), Holm::empty(), Docker::without_network());
    let (pulled, pushed) = (registry.name("busybox:latest"), registry.name("from/docker:1"));
    holm.holm(["pull", "-q", &pulled]).outcome().ok();
    let archive = docker.directory().join("busybox.tar");
    holm.holm(["save", &pulled, "-o"]).arg(&archive).outcome().ok();
    let loaded = docker.docker(["load", "-q", "-i", archive.to_str().unwrap()]).ok();
    assert_eq!(loaded, format!("Loaded image: {pulled}"));
    docker.docker(["tag", &pulled, &pushed]).ok();
    docker.docker(["push", "-q", &pushed]).ok();
    drop(docker);
    assert_eq!(holm.run([pushed.as_str(), "echo", "hello"]).ok(), "hello");
    let id = |name: &str| holm.holm(["image", "inspect", "-f", "{{.Id}}", name]).outcome().ok();
    assert_eq!(id(&pushed), id(&pulled), "the same image");
}

#[test]
fn holm_runs_what_buildah_builds_and_pushes() {
    let (registry, holm) = (DockerRegistry::start(Mode::Plain), Holm::empty());
    let storage = tempfile::tempdir_in("/var/tmp").unwrap();
    let script = "set -e; b() { buildah --root $0/root --runroot $0/run --storage-driver vfs \"$@\"; }
        mkdir -p $0/tree/bin; cp /bin/busybox $0/tree/bin/sh
        c=$(b from scratch); b add -q $c $0/tree / >/dev/null
        b config --env MADE=here --workingdir /bin --cmd '[\"sh\", \"-c\", \"echo $MADE; pwd\"]' $c
        b commit -q $c made >/dev/null; b push -q --tls-verify=false made docker://$1";
    let name = registry.name("from/buildah:1");
    tool("sh", &["-c", script, storage.path().to_str().unwrap(), &name]).ok();
    assert_eq!(holm.run([name.as_str()]).ok(), "here\n/bin");
}
