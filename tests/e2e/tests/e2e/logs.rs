//! `holm logs`: what a workload wrote, for those who ask later (M26).

use std::time::{Duration, Instant};

use holm_e2e::{Holm, TestImage};

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
    let name = holm.name();
    let script = "for i in 1 2 3 4 5; do echo $i; sleep 0.3; done";
    holm.holm(["run", "-d", "--name", &name, "busybox", "sh", "-c", script]).outcome().ok();
    let begun = Instant::now();
    assert_eq!(holm.holm(["logs", "-f", &name]).outcome().ok(), "1\n2\n3\n4\n5");
    assert!(begun.elapsed() > Duration::from_millis(500), "it followed");
    holm.holm(["rm", &name]).outcome().ok();
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
