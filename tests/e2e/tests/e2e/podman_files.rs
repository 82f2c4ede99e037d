//! The files of a container under podman: its root is the host's directory, shared.

use std::fs;
use std::path::Path;

use holm_e2e::Podman;

#[test]
fn podman_sees_what_a_container_wrote() {
    let podman = Podman::over_holm();
    let shared = tempfile::tempdir().unwrap();
    let volume = format!("{}:/v", shared.path().display());
    let name = podman.background(&["-v", &volume], "echo text >/etc/made; rm /etc/group; ln -s made /etc/link; chmod 600 /etc/made; echo written; sleep 1000");
    holm_e2e::until("it has written", || podman.podman(["logs", &name]).out().contains("written"));
    let changes = podman.podman(["diff", &name]).ok();
    for change in ["A /etc/made", "D /etc/group", "A /etc/link"] {
        assert!(changes.lines().any(|line| line == change), "{change}: {changes}");
    }
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy");
    podman.podman(["cp", &format!("{name}:/etc/made"), copy.to_str().unwrap()]).ok();
    assert_eq!(fs::read_to_string(&copy).unwrap(), "text\n");
    fs::write(&copy, "from outside").unwrap();
    podman.podman(["cp", copy.to_str().unwrap(), &format!("{name}:/tmp/in")]).ok();
    assert_eq!(podman.podman(["exec", &name, "cat", "/tmp/in"]).ok(), "from outside");
    let volume = format!("{name}:/v/in-a-volume");
    podman.podman(["cp", copy.to_str().unwrap(), &volume]).ok();
    assert_eq!(fs::read_to_string(shared.path().join("in-a-volume")).unwrap(), "from outside");
    let image = format!("localhost/{name}");
    podman.podman(["commit", "-q", &name, &image]).ok();
    let seen = podman.podman(["run", "--rm", "--network", "none", &image, "cat", "/etc/link"]).ok();
    podman.podman(["rmi", "-f", &image]).ok();
    assert_eq!(seen, "text");
}

#[test]
fn a_layer_of_the_guests_own_is_not_seen_by_the_host() {
    let podman = Podman::over_holm();
    let own = ["--annotation", "holm.layer=guest"];
    let script = "echo text >/etc/made; rm /etc/group; echo written; sleep 1000";
    let name = podman.background(&own, script);
    holm_e2e::until("it has written", || podman.podman(["logs", &name]).out().contains("written"));
    let merged = podman.inspect(&name, ".GraphDriver.Data.MergedDir");
    let on_host = |path: &str| Path::new(&merged).join(path).exists();
    assert!(on_host("etc/group") && !on_host("etc/made"));
    let seen = podman.podman([
        "exec",
        &name,
        "sh",
        "-c",
        "cat /etc/made; ls /etc/group || grep -c '^overlay / ' /proc/mounts",
    ]);
    assert_eq!(seen.out(), "text\n1", "{}", seen.err());
    assert!(!podman.podman(["diff", &name]).ok().contains("/etc/made"));
    // In the same VM, with a layer of its own that is as large as it was to be.
    let network = format!("container:{name}");
    let words = ["run", "--rm", "--network", &network, "--annotation", "holm.layer-size=64m"];
    let script = "ls /etc/group; dd if=/dev/zero of=/full bs=1M count=100 2>&1 | grep -c 'No space'";
    let full = podman.podman([&words[..], &own, &["busybox", "sh", "-c", script]].concat());
    assert_eq!(full.out(), "/etc/group\n1", "{}", full.err());
    assert!(!on_host("full"));
    // Nothing has a name on the host.
    assert_eq!(fs::read_dir("/var/lib/holm/oci").unwrap().count(), 0);
    podman.podman(["rm", "-f", "-t", "0", &name]).ok();
    let other = podman.run(&["--annotation", "holm.layer=tmpfs"], "true");
    assert!(other.err().contains("annotation holm.layer=tmpfs: it is host or guest"), "{}", other.err());
}

#[test]
fn podmans_volumes_are_shared() {
    let podman = Podman::over_holm();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "host's\n").unwrap();
    let directory = format!("{}:/v", dir.path().display());
    let file = format!("{}:/f:ro", dir.path().join("file").display());
    let script = "cat /v/file /f; echo new >/v/made; echo x >/f || echo refused; echo y >>/v/file; cat /f; echo x >/etc/x; grep -c root: /etc/passwd";
    let seen = podman.run(&["-v", &directory, "-v", &file, "--tmpfs", "/etc"], script);
    assert_eq!(seen.out(), "host's\nhost's\nrefused\nhost's\ny\n1", "{}", seen.err());
    assert_eq!(fs::read_to_string(dir.path().join("made")).unwrap(), "new\n");
    let name = podman.name();
    podman.podman(["volume", "create", &name]).ok();
    let volume = format!("{name}:/etc");
    let filled = podman.run(&["-v", &volume], "ls /etc/passwd; echo kept >/etc/kept").ok();
    let kept = podman.run(&["-v", &volume], "cat /etc/kept").ok();
    podman.podman(["volume", "rm", &name]).ok();
    assert_eq!((filled.as_str(), kept.as_str()), ("/etc/passwd", "kept"));
}
