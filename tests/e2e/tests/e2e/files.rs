//! Files of a container from outside: what it changed, all of them, and copies in both directions.

use std::process::Command;

use holm_e2e::{Holm, Outcome, TestImage};

fn tool(program: &str, arguments: &[&str]) -> Outcome {
    Command::new(program).args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}")).into()
}

/// A container that runs until it is killed, after this script.
fn running(holm: &Holm, script: &str) -> String {
    let name = holm.background(&[], &format!("{script}; touch /ready; sleep 1000"));
    let ready = "while ! [ -e /ready ]; do sleep 0.1; done; rm /ready";
    holm.holm(["exec", &name, "sh", "-c", ready]).outcome().ok();
    name
}

const CHANGES: &str = "mkdir -p /new/sub && echo hello >/new/sub/file && rm /etc/passwd && chmod 700 /root && echo x >>/etc/group";
const DIFF: &str = "C /etc\nC /etc/group\nD /etc/passwd\nA /new\nA /new/sub\nA /new/sub/file\nC /root";

#[test]
fn m12_diff_lists_what_changed_running_and_stopped() {
    let holm = Holm::with(TestImage::Busybox);
    let untouched = running(&holm, "true");
    assert_eq!(holm.holm(["diff", &untouched]).outcome().ok(), "");
    let name = running(&holm, CHANGES);
    assert_eq!(holm.holm(["diff", &name]).outcome().ok(), DIFF);
    holm.holm(["kill", &name]).outcome().ok();
    assert_eq!(holm.holm(["diff", &name]).outcome().ok(), DIFF);
    let state = holm.holm(["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", &name]).outcome().ok();
    assert_eq!(state, "exited 137", "the VM that looked left the state alone");
    holm.holm(["start", &name]).outcome().ok();
}

#[test]
fn m12_export_gives_the_merged_tree() {
    let holm = Holm::with(TestImage::Busybox);
    let name = running(&holm, CHANGES);
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    let tar = directory.path().join("out.tar");
    let tar = tar.to_str().unwrap();
    let listed = |arguments: &[&str]| {
        holm.holm(arguments).outcome().ok();
        tool("tar", &["-tf", tar]).ok()
    };
    let here = listed(&["export", "-o", tar, &name]);
    let has = |path: &str| here.lines().any(|line| line == path);
    assert!(has("new/sub/file") && has("bin/busybox") && has("etc/group"), "{here}");
    assert!(!has("etc/passwd") && !here.lines().any(|line| line.starts_with("proc/")), "{here}");
    assert_eq!(tool("tar", &["-xOf", tar, "new/sub/file"]).ok(), "hello");
    holm.holm(["kill", &name]).outcome().ok();
    assert_eq!(listed(&["export", "-o", tar, &name]).lines().count(), here.lines().count());
}

#[test]
fn m12_ps_shows_sizes() {
    let holm = Holm::with(TestImage::Busybox);
    let name = running(&holm, "printf 12345 >/five");
    let size = || {
        let filter = format!("name={name}");
        holm.holm(["ps", "-a", "-s", "--filter", &filter, "--format", "{{.Size}}"]).outcome().ok()
    };
    let running = size();
    assert!(running.starts_with("5B (virtual ") && running.ends_with("B)"), "{running}");
    holm.holm(["kill", &name]).outcome().ok();
    assert_eq!(size(), running);
}
