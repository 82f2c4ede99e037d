//! The scenario of containerd's tasks. Faults reach the shim by the daemon's environment.

use std::process::{Command, Stdio};

use super::bench::Bench;
use super::matrix::Scenario;
use crate::outcome::Outcome;
use crate::until::until;

/// A task's life, and a process beside its own.
pub const TASKS: Scenario = Scenario { name: "ctr", prepare: |_| {}, act: live, settle: live_again };

/// The container of every run.
const NAME: &str = "faulty";

/// `ctr` with these words; a shim that was killed may keep it waiting.
fn ctr(bench: &Bench, words: &[&str]) -> Outcome {
    let containerd = bench.installation.containerd.as_ref().expect("a containerd");
    let ctr = containerd.command(words);
    let mut command = Command::new("timeout");
    command.args(["-k", "1", "40"]).arg(ctr.get_program()).args(ctr.get_args()).stdin(Stdio::null());
    command.output().expect("start ctr").into()
}

fn live(bench: &mut Bench) {
    let containerd = bench.installation.containerd.clone().expect("a containerd");
    let run = containerd.run(NAME, &["-d"], "exec sleep 1000");
    let words: Vec<&str> = run.get_args().skip(2).filter_map(|word| word.to_str()).collect();
    ctr(bench, &words);
    ctr(bench, &["tasks", "exec", "--exec-id", "one", NAME, "true"]);
    ctr(bench, &["tasks", "kill", "-s", "KILL", NAME]);
    ctr(bench, &["tasks", "delete", "--force", NAME]);
    ctr(bench, &["containers", "delete", NAME]);
}

/// What is left can be removed, and the same container run again.
fn live_again(bench: &mut Bench) {
    remove(bench);
    let containerd = bench.installation.containerd.clone().expect("a containerd");
    let run = containerd.run(NAME, &["--rm"], "echo again");
    let words: Vec<&str> = run.get_args().skip(2).filter_map(|word| word.to_str()).collect();
    let ran = ctr(bench, &words);
    assert_eq!((ran.code, ran.out().as_str()), (0, "again"), "{}", ran.err());
    until("its bundle is gone", || !containerd.bundle(NAME).exists());
}

fn remove(bench: &Bench) {
    let listed = |words: &[&str]| {
        let out = ctr(bench, words).out();
        out.lines().any(|line| line.split_whitespace().next() == Some(NAME))
    };
    until("its task is gone", || {
        if listed(&["tasks", "ls"]) {
            ctr(bench, &["tasks", "delete", "--force", NAME]);
        }
        !listed(&["tasks", "ls"])
    });
    if listed(&["containers", "ls"]) {
        let deleted = ctr(bench, &["containers", "delete", NAME]);
        assert_eq!(deleted.code, 0, "{}", deleted.err());
    }
}
