//! Starts that go on from a template: the first one makes it, no two guests are twins, and one that is damaged is passed over.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use holm_e2e::{Holm, TestImage};

/// The only template of a test's own.
#[track_caller]
fn only_template(holm: &Holm) -> PathBuf {
    let entries =
        fs::read_dir(holm.templates()).expect("templates").map(|entry| entry.expect("entry").path());
    let found: Vec<_> = entries.filter(|path| path.join("about.json").exists()).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

#[track_caller]
fn hello(holm: &Holm) {
    assert_eq!(holm.run(["--network", "none", "busybox", "echo", "hello"]).ok(), "hello");
}

#[test]
fn the_first_start_makes_a_template_and_a_damaged_one_is_made_anew() {
    let holm = Holm::with(TestImage::Busybox).with_own_templates();
    assert_eq!(holm.run(["--cold", "--network", "none", "busybox", "echo", "hello"]).ok(), "hello");
    assert!(!holm.templates().exists(), "a cold start leaves templates alone");
    hello(&holm);
    let template = only_template(&holm);
    assert!(!template.join("checked").exists(), "it is made, not used");
    // Long enough for the supervisor's note.
    assert_eq!(holm.run(["--network", "none", "busybox", "sleep", "1"]).ok(), "");
    assert!(template.join("checked").exists(), "the VM went on from it");

    let state = template.join("state");
    let mut bytes = fs::read(&state).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&state, bytes).unwrap();
    assert_eq!(holm.run(["--network", "none", "busybox", "sleep", "1"]).ok(), "");
    assert!(!template.exists(), "it was of no use");
    hello(&holm);

    let memory = only_template(&holm).join("memory");
    assert!(!holm.holm(["template", "prune", "-f"]).outcome().ok().contains("Deleted"), "it is of use");
    let file = fs::File::options().write(true).open(&memory).unwrap();
    file.set_len(fs::metadata(&memory).unwrap().len() - 4096).unwrap();
    assert_eq!(holm.run(["--network", "none", "busybox", "sleep", "1"]).ok(), "");
    assert!(!memory.exists(), "it was of no use");
}

#[test]
fn entropy_and_the_balloon_come_when_the_container_runs() {
    let holm = Holm::with(TestImage::Busybox);
    let devices =
        "cat /sys/class/misc/hw_random/rng_current; ls /sys/bus/virtio/drivers/virtio_balloon | grep virtio";
    let script =
        format!("for i in $(seq 60); do sleep 1; found=$({devices}) && echo \"$found\" && exit; done");
    for start in [&["--cold"][..], &[]] {
        let found = holm.run(start.iter().chain(&["busybox", "sh", "-c", &script])).ok();
        assert!(found.starts_with("virtio_rng.") && found.lines().count() == 2, "{found}");
    }
}

/// What would be the same in twins, one in each line.
const WHO_AM_I: &str = "cat /proc/sys/kernel/random/boot_id /proc/sys/kernel/random/uuid
    head -c 16 /dev/urandom | md5sum
    grep stack /proc/self/maps | cut -d' ' -f1
    hostname
    date +%s";

#[test]
fn no_two_guests_of_a_template_are_twins() {
    let holm = Holm::with(TestImage::Busybox);
    let mut seen = HashSet::new();
    for guest in 0..6 {
        let out = holm.run(["busybox", "sh", "-c", WHO_AM_I]).ok();
        let mut lines: Vec<_> = out.lines().collect();
        let guests_s: u64 = lines.pop().unwrap().parse().unwrap();
        let host_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!(host_s.abs_diff(guests_s) < 30, "guest {guest}: {guests_s} s, host: {host_s} s");
        assert_eq!(lines.len(), 5, "{out}");
        for line in lines {
            assert!(seen.insert(line.to_owned()), "guest {guest} repeats {line}");
        }
    }
}
