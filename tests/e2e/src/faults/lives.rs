//! Scenarios with VMs: lives of containers, what is made of them, networks, templates.

use std::fs;

use super::bench::Bench;
use super::host::processes_of;
use super::matrix::Scenario;
use crate::until::until;

/// All of them.
pub const LIVES: &[Scenario] = &[
    Scenario { name: "run", prepare: unmerged, act: run, settle: run_again },
    Scenario { name: "life", prepare: with_volume, act: live, settle: live_again },
    Scenario { name: "commit", prepare: with_work, act: commit, settle: commit_again },
    Scenario { name: "checkpoint", prepare: |bench| bench.load(), act: checkpoint, settle: run_again },
    Scenario { name: "fork", prepare: |bench| bench.load(), act: fork, settle: run_again },
    Scenario { name: "network", prepare: |bench| bench.load(), act: networks, settle: networks_again },
    Scenario { name: "template", prepare: without_templates, act: make_template, settle: run_again },
    Scenario { name: "lost", prepare: lost, act: find_lost, settle: run_again },
];

/// An image whose layers have to be put together again.
fn unmerged(bench: &mut Bench) {
    bench.load();
    for stack in fs::read_dir(bench.root().join("image/merged")).expect("merged").flatten() {
        fs::remove_dir_all(stack.path()).expect("stack");
    }
}

fn run(bench: &mut Bench) {
    bench.try_(&["run", "--rm", "--network", "none", "busybox", "true"]);
}

/// Whatever is left can be removed, and containers run.
fn run_again(bench: &mut Bench) {
    for container in bench.lines(&["ps", "-aq", "--no-trunc"]) {
        bench.ok(&["rm", "-f", &container]);
    }
    let ran = bench.ok(&["run", "--rm", "--network", "none", "busybox", "echo", "again"]);
    assert_eq!(ran, "again");
}

/// What a volume has, it keeps.
fn with_volume(bench: &mut Bench) {
    bench.load();
    bench.ok(&["volume", "create", "data"]);
    fs::write(bench.root().join("volumes/data/_data/mark"), "kept\n").expect("mark");
}

fn live(bench: &mut Bench) {
    let script = "trap 'exit 3' TERM; while :; do sleep 0.1; done";
    let options = ["run", "-d", "--name", "cc", "--network", "none", "-v", "data:/data", "-v", "/home"];
    bench.try_(&[&options[..], &["busybox", "sh", "-c", script]].concat());
    bench.try_(&["exec", "cc", "cat", "/data/mark"]);
    bench.try_(&["stop", "-t", "5", "cc"]);
    bench.try_(&["start", "cc"]);
    bench.try_(&["rm", "-f", "-v", "cc"]);
}

fn live_again(bench: &mut Bench) {
    assert_eq!(fs::read_to_string(bench.root().join("volumes/data/_data/mark")).expect("mark"), "kept\n");
    // One that was there before the fault can be started, as it can be removed.
    for container in bench.lines(&["ps", "-aq", "--no-trunc", "--filter", "status=exited"]) {
        bench.ok(&["start", &container]);
    }
    for container in bench.lines(&["ps", "-aq", "--no-trunc"]) {
        bench.ok(&["rm", "-f", "-v", &container]);
    }
    let words = ["run", "--rm", "--network", "none", "-v", "data:/data", "busybox", "cat", "/data/mark"];
    assert_eq!(bench.ok(&words), "kept");
}

fn with_work(bench: &mut Bench) {
    bench.load();
    bench.ok(&["run", "--name", "cc", "--network", "none", "busybox", "sh", "-c", "echo made >/made"]);
}

fn commit(bench: &mut Bench) {
    bench.try_(&["commit", "cc", "made:v1"]);
}

/// The container's layer is what it was, and an image is whole or not there.
fn commit_again(bench: &mut Bench) {
    if bench.lines(&["images", "-q", "made:v1"]).is_empty() {
        bench.ok(&["commit", "cc", "made:v1"]);
    }
    let ran = bench.ok(&["run", "--rm", "--network", "none", "made:v1", "cat", "/made"]);
    assert_eq!(ran, "made");
}

fn running(bench: &mut Bench) {
    bench.load();
    bench.ok(&["run", "-d", "--name", "cc", "--network", "none", "busybox", "sleep", "1000"]);
}

fn checkpoint(bench: &mut Bench) {
    bench.try_(&["run", "-d", "--name", "cc", "--network", "none", "busybox", "sleep", "1000"]);
    bench.try_(&["checkpoint", "create", "--leave-running", "cc", "one"]);
    bench.try_(&["checkpoint", "create", "cc", "two"]);
    bench.try_(&["start", "--checkpoint", "two", "cc"]);
    bench.try_(&["checkpoint", "rm", "cc", "one"]);
    bench.try_(&["rm", "-f", "cc"]);
}

fn fork(bench: &mut Bench) {
    bench.try_(&["run", "-d", "--name", "cc", "--network", "none", "busybox", "sleep", "1000"]);
    bench.try_(&["fork", "--name", "dd", "cc"]);
    bench.try_(&["rm", "-f", "dd"]);
    bench.try_(&["rm", "-f", "cc"]);
}

fn networks(bench: &mut Bench) {
    bench.try_(&["network", "create", "one"]);
    bench.try_(&["network", "create", "two"]);
    let options = ["run", "-d", "--name", "cc", "--network", "one", "-p", "127.0.0.1::80"];
    bench.try_(&[&options[..], &["busybox", "sleep", "1000"]].concat());
    bench.try_(&["network", "connect", "two", "cc"]);
    bench.try_(&["network", "disconnect", "two", "cc"]);
    bench.try_(&["rm", "-f", "cc"]);
    bench.try_(&["network", "rm", "one"]);
    bench.try_(&["network", "rm", "two"]);
}

fn networks_again(bench: &mut Bench) {
    for container in bench.lines(&["ps", "-aq", "--no-trunc"]) {
        bench.ok(&["rm", "-f", &container]);
    }
    for name in bench.lines(&["network", "ls", "--format", "{{.Name}}"]) {
        if ["one", "two"].contains(&name.as_str()) {
            bench.ok(&["network", "rm", &name]);
        }
    }
    bench.ok(&["network", "create", "one"]);
    bench.ok(&["run", "--rm", "--network", "one", "busybox", "true"]);
    bench.ok(&["network", "rm", "one"]);
}

fn without_templates(bench: &mut Bench) {
    bench.installation.templates = None;
    bench.load();
}

/// The first makes it, the second verifies it, the third has it.
fn make_template(bench: &mut Bench) {
    for _ in 0..3 {
        bench.try_(&["run", "--rm", "--network", "none", "busybox", "true"]);
    }
}

/// A container whose supervisor was killed.
fn lost(bench: &mut Bench) {
    running(bench);
    for process in processes_of(&bench.root()) {
        if let Some(pid) = rustix::process::Pid::from_raw(process.pid) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
    until("the container's processes are gone", || processes_of(&bench.root()).is_empty());
}

fn find_lost(bench: &mut Bench) {
    bench.try_(&["ps", "-a"]);
    bench.try_(&["rm", "cc"]);
}
