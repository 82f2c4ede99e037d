//! `holm logs`: what a workload wrote, for those who ask later (M26).

use std::io::{BufRead, BufReader};

use holm_e2e::{Holm, Outcome, TestImage, until};

/// Runs a script in the background and waits for its end.
fn ran(holm: &Holm, options: &[&str], script: &str) -> String {
    let name = holm.name();
    holm.holm(["run", "-d", "--name", &name])
        .args(options)
        .args(["busybox", "sh", "-c", script])
        .outcome()
        .ok();
    holm.holm(["wait", &name]).outcome().ok();
    name
}

#[test]
fn m26_logs_of_a_container_in_the_background() {
    let holm = Holm::with(TestImage::Busybox);
    let name = ran(&holm, &[], "echo one; echo two >&2; printf three");
    let logs = holm.holm(["logs", &name]).outcome();
    assert_eq!((logs.code, logs.out(), logs.err()), (0, "one\nthree".into(), "two".into()));
    assert_eq!(holm.holm(["logs", "--tail", "1", &name]).outcome().out(), "three");
    let stamped = holm.holm(["logs", "-t", "-n", "1", &name]).outcome().out();
    assert!(stamped.starts_with("20") && stamped.ends_with("Z three"), "{stamped}");
    // A second run is added to the first.
    holm.holm(["start", "-a", &name]).outcome().ok();
    assert_eq!(holm.holm(["logs", &name]).outcome().out(), "one\nthreeone\nthree");
    holm.holm(["rm", &name]).outcome().ok();
    holm.holm(["logs", &name]).outcome().fails(125, "no such container");
}

#[test]
fn m26_logs_are_followed_to_the_end() {
    let holm = Holm::with(TestImage::Busybox);
    // Ends only when somebody who follows has seen what it wrote.
    let name = holm.background(&[], "trap 'echo 2; echo 3; exit' USR1; echo 1; while :; do sleep 0.1; done");
    let mut following = holm.holm(["logs", "-f", &name]).spawn();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().as_deref(), Some("1"));
    holm.holm(["kill", "-s", "USR1", &name]).outcome().ok();
    assert_eq!(lines.collect::<Vec<_>>(), ["2", "3"]);
    assert!(following.wait().unwrap().success());
    holm.holm(["rm", "-f", &name]).outcome().ok();
}

#[test]
fn m30_a_log_is_complete_and_bounded() {
    let holm = Holm::with(TestImage::Busybox);
    let name = ran(&holm, &["--log-opt", "max-size=-1"], "seq 1 50000");
    let expected: Vec<String> = (1..=50000).map(|n| n.to_string()).collect();
    assert!(holm.holm(["logs", &name]).outcome().ok() == expected.join("\n"));
    let small = ran(&holm, &["--log-opt", "max-size=100k", "--log-opt", "max-file=2"], "seq 1 50000");
    let kept = holm.holm(["logs", &small]).outcome().ok();
    assert!(kept.ends_with("49999\n50000") && kept.len() < 200_000, "{} bytes", kept.len());
    let none = ran(&holm, &["--log-driver", "none"], "echo unheard");
    holm.holm(["logs", &none]).outcome().fails(125, "does not support reading");
    holm.holm(["rm", &name, &small, &none]).outcome().ok();
}

#[test]
fn a_full_disk_stops_no_workload_and_loses_no_state() {
    let holm = Holm::empty();
    let root = holm.root().to_str().unwrap().to_owned();
    // The mount ends with the shell that sees it: everything happens in one.
    let script = format!(
        "set -e; truncate -s 2G {root}.ext4; mkfs.ext4 -q -m 0 {root}.ext4; mkdir -p {root}; \
         mount -o loop {root}.ext4 {root}; holm load -q -i {archive}; \
         holm create --name talker --log-opt max-size=-1 busybox seq 1 400000; \
         fallocate -l $(($(stat -fc '%a * %S' {root}) - (16 << 20))) {root}/filler; \
         holm start -a talker | tail -n 1; df {root} | grep -o 100%; \
         holm inspect -f '{{{{.State.Status}}}} {{{{.State.ExitCode}}}}' talker; holm rm talker",
        archive = TestImage::Busybox.archive().display()
    );
    let mut command = std::process::Command::new("unshare");
    let environment = holm.holm(["version"]).command();
    command.args(["--mount", "sh", "-c", &script]);
    command.envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let outcome: Outcome = command.output().unwrap().into();
    let printed = outcome.ok();
    let ends: Vec<&str> = printed.lines().skip(1).collect();
    assert_eq!(ends, ["400000", "100%", "exited 0", "talker"], "{printed}");
}

#[test]
fn logs_go_to_the_hosts_journal_when_that_is_asked_for() {
    let holm = Holm::with(TestImage::Busybox);
    let name = ran(&holm, &["--log-driver", "journald"], "echo out; echo err >&2");
    let found = |field: &str| {
        let mut journal = std::process::Command::new("journalctl");
        journal.args(["-q", "-o", "cat", &format!("CONTAINER_NAME={name}"), field]);
        Outcome::from(journal.output().unwrap()).ok()
    };
    until("the journal has it", || found("PRIORITY=3") == "err");
    assert_eq!(found("PRIORITY=6"), "out");
    let logs = holm.holm(["logs", "-f", &name]).outcome();
    assert_eq!((logs.out(), logs.err()), ("out".to_owned(), "err".to_owned()));
    assert_eq!(holm.holm(["logs", "-n", "1", &name]).outcome().err(), "err");
    holm.holm(["rm", &name]).outcome().ok();
}
