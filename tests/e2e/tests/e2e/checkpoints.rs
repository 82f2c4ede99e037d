//! Checkpoints, starts that go on from one, and forks.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use holm_e2e::{Holm, TestImage, until};

/// Counts in the shell's memory, and writes each number into a file of the layer and to its output.
const COUNT: &str = "n=0; while :; do n=$((n+1)); echo $n > /new; mv /new /count; echo $n; sleep 0.2; done";

#[track_caller]
fn last_line(holm: &Holm, name: &str) -> u64 {
    let out = holm.holm(["logs", "--tail", "1", name]).outcome().ok();
    out.trim().parse().unwrap_or(0)
}

/// Waits until it has counted so far.
#[track_caller]
fn counted(holm: &Holm, name: &str, least: u64) -> u64 {
    until("it has counted", || last_line(holm, name) >= least);
    last_line(holm, name)
}

#[track_caller]
fn exec(holm: &Holm, name: &str, script: &str) -> String {
    holm.holm(["exec", name, "sh", "-c", script]).outcome().ok()
}

#[track_caller]
fn directory(holm: &Holm, name: &str) -> PathBuf {
    let id = holm.holm(["inspect", "--format", "{{.Id}}", name]).outcome().ok();
    holm.root().join("containers").join(id)
}

#[test]
fn a_container_goes_on_from_its_checkpoint_with_its_memory_and_its_files() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.background(&["--network", "none"], COUNT);
    counted(&holm, &name, 3);
    exec(&holm, &name, "echo early > /early");
    assert_eq!(holm.holm(["checkpoint", "create", &name, "first"]).outcome().ok(), "first");
    let state = "{{.State.Status}} {{.State.ExitCode}}";
    assert_eq!(holm.holm(["inspect", "--format", state, &name]).outcome().ok(), "exited 137");
    let at = last_line(&holm, &name);
    // Started without it, it begins anew, with its files.
    holm.holm(["start", &name]).outcome().ok();
    assert_eq!(exec(&holm, &name, "cat /early; echo late > /late"), "early");
    holm.holm(["stop", "-t", "0", &name]).outcome().ok();
    for _ in 0..2 {
        let said = || holm.holm(["logs", &name]).outcome().ok().lines().count();
        let before = said();
        holm.holm(["start", "--checkpoint", "first", &name]).outcome().ok();
        until("it says more", || said() >= before + 3);
        let now: u64 = exec(&holm, &name, "cat /count").parse().unwrap();
        assert!((at + 1..at + 100).contains(&now), "{at}, and then {now}");
        assert_eq!(exec(&holm, &name, "cat /early; ls /late 2>/dev/null || true"), "early");
        holm.holm(["kill", &name]).outcome().ok();
        holm.holm(["wait", &name]).outcome().ok();
    }
    assert_eq!(holm.holm(["checkpoint", "ls", &name]).outcome().ok(), "CHECKPOINT NAME\nfirst");
    holm.holm(["checkpoint", "rm", &name, "first"]).outcome().ok();
    let gone = holm.holm(["start", "--checkpoint", "first", &name]).outcome();
    gone.fails(1, "checkpoint first does not exist for container");
}

#[test]
fn a_checkpoint_elsewhere_outlives_its_container_and_another_goes_on_from_it() {
    let holm = Holm::with(TestImage::Busybox);
    let place = tempfile::tempdir().unwrap();
    let place = place.path().to_str().unwrap();
    let name = holm.background(&[], COUNT);
    counted(&holm, &name, 3);
    holm.holm(["checkpoint", "create", "--checkpoint-dir", place, &name, "first"]).outcome().ok();
    let at = last_line(&holm, &name);
    assert_eq!(holm.holm(["checkpoint", "ls", &name]).outcome().ok(), "CHECKPOINT NAME");
    holm.holm(["rm", &name]).outcome().ok();
    let heir = holm.name();
    holm.holm(["create", "--name", &heir, "busybox", "true"]).outcome().ok();
    let list = ["checkpoint", "ls", "--checkpoint-dir", place, &heir];
    assert_eq!(holm.holm(list).outcome().ok(), "CHECKPOINT NAME\nfirst");
    holm.holm(["start", "--checkpoint", "first", "--checkpoint-dir", place, &heir]).outcome().ok();
    assert!(counted(&holm, &heir, at + 3) < at + 100);
    assert!(exec(&holm, &heir, "cat /count").parse::<u64>().unwrap() > at);
    holm.holm(["checkpoint", "rm", "--checkpoint-dir", place, &heir, "first"]).outcome().ok();
    assert_eq!(fs::read_dir(place).unwrap().count(), 0);
    holm.holm(["rm", "-f", &heir]).outcome().ok();
}

#[test]
fn a_container_that_is_left_running_goes_on_and_its_checkpoints_go_with_it() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.background(&["--network", "none"], COUNT);
    let before = counted(&holm, &name, 2);
    for checkpoint in ["one", "two"] {
        let words = ["checkpoint", "create", "--leave-running", &name, checkpoint];
        assert_eq!(holm.holm(words).outcome().ok(), checkpoint);
    }
    counted(&holm, &name, before + 3);
    let again = holm.holm(["checkpoint", "create", "--leave-running", &name, "one"]).outcome();
    again.fails(125, "checkpoint with name one already exists for container");
    assert_eq!(holm.holm(["checkpoint", "ls", &name]).outcome().ok(), "CHECKPOINT NAME\none\ntwo");
    let place = directory(&holm, &name);
    assert!(place.join("checkpoints/two/memory").exists());
    holm.holm(["rm", "-f", &name]).outcome().ok();
    assert!(!place.exists());
}

#[test]
fn a_flipped_byte_of_a_checkpoint_is_refused_and_nothing_is_left() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.background(&["--network", "none"], COUNT);
    counted(&holm, &name, 1);
    exec(&holm, &name, "seq 100000 > /file; sync");
    holm.holm(["checkpoint", "create", &name, "only"]).outcome().ok();
    let place = directory(&holm, &name);
    let files = place.join("checkpoints/only");
    let layer = fs::read_dir(&place).unwrap().count();
    for file in ["about", "state", "memory", "layer.ext4"] {
        let opened = fs::File::options().read(true).write(true).open(files.join(file)).unwrap();
        let length = fs::metadata(files.join(file)).unwrap().len();
        // The layer's superblock; the middle of the others.
        let at = if file == "layer.ext4" { 1024 + 120 } else { length / 2 };
        let mut byte = [0];
        opened.read_exact_at(&mut byte, at).unwrap();
        opened.write_all_at(&[byte[0] ^ 4], at).unwrap();
        let refused = holm.holm(["start", "--checkpoint", "only", &name]).outcome();
        refused.fails(1, "checksum");
        assert_eq!(fs::read_dir(&place).unwrap().count(), layer, "{file}");
        assert!(!holm.run_directory().join(place.file_name().unwrap()).exists(), "{file}");
        opened.write_all_at(&byte, at).unwrap();
    }
    holm.holm(["start", "--checkpoint", "only", &name]).outcome().ok();
    assert_eq!(exec(&holm, &name, "tail -n 1 /file"), "100000");
}

#[test]
fn what_cannot_be_saved_is_refused_and_runs_on() {
    let holm = Holm::with(TestImage::Busybox);
    let volume = holm.background(&["--network", "none", "-v", "/data"], COUNT);
    let refused = holm.holm(["checkpoint", "create", &volume, "one"]).outcome();
    refused.fails(125, "it has volumes or bind mounts");
    let refused = holm.holm(["fork", &volume]).outcome();
    refused.fails(125, "it has volumes or bind mounts");
    assert_eq!(
        holm.holm(["ps", "-aq", "--filter", &format!("name={volume}")]).outcome().ok().lines().count(),
        1
    );
    let before = last_line(&holm, &volume);
    counted(&holm, &volume, before + 1);
    let brief = holm.background(&["--network", "none", "--rm"], COUNT);
    let refused = holm.holm(["checkpoint", "create", &brief, "one"]).outcome();
    refused.fails(125, "it is removed at its end");
    let stopped = holm.name();
    holm.holm(["create", "--name", &stopped, "busybox"]).outcome().ok();
    let refused = holm.holm(["checkpoint", "create", &stopped, "one"]).outcome();
    refused.fails(125, "is not running");
    let refused = holm.holm(["checkpoint", "create", &brief, ".."]).outcome();
    assert!(refused.code == 125 && refused.err().contains("invalid checkpoint ID (..)"), "{}", refused.err());
}

#[test]
fn a_checkpoint_keeps_commands_of_exec_out_and_standard_input_open() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.name();
    let words = ["run", "-di", "--name", &name, "--network", "none", "busybox", "cat"];
    holm.holm(words).outcome().ok();
    let mut sleeper = holm.holm(["exec", &name, "sleep", "600"]).spawn();
    until("the command runs", || exec(&holm, &name, "ps").contains("sleep 600"));
    holm.holm(["checkpoint", "create", &name, "one"]).outcome().ok();
    sleeper.wait().unwrap();
    let out = holm.holm(["start", "-ai", "--checkpoint", "one", &name]).outcome_with_input(b"typed later\n");
    assert_eq!(out.ok(), "typed later");
    holm.holm(["start", "--checkpoint", "one", &name]).outcome().ok();
    until("the command was ended", || !exec(&holm, &name, "ps").contains("sleep 600"));
}

/// An address, what is reached by it, and what no two containers share.
const WHO_AM_I: &str = "ip -4 -o addr show eth0 | awk '{ print $4 }'; hostname; cat /etc/hostname
    head -c 16 /dev/urandom | md5sum; cat /proc/sys/kernel/random/uuid; cat /sys/class/net/eth0/address";

#[test]
fn a_container_on_a_network_goes_on_with_it() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let server = "while :; do echo served | nc -l -p 80; done";
    let name = holm.background(&["-p", "80"], server);
    let serves = |name: &str| {
        let port = holm.holm(["port", name, "80"]).outcome().ok();
        let port = port.lines().next().unwrap().rsplit(':').next().unwrap().to_owned();
        let mut out = String::new();
        let connected = TcpStream::connect(format!("127.0.0.1:{port}"));
        connected.is_ok_and(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            stream.read_to_string(&mut out).is_ok() && out == "served\n"
        })
    };
    until("it serves", || serves(&name));
    let before = exec(&holm, &name, WHO_AM_I);
    holm.holm(["checkpoint", "create", "--leave-running", &name, "one"]).outcome().ok();
    until("it serves", || serves(&name));
    holm.holm(["stop", "-t", "0", &name]).outcome().ok();
    holm.holm(["start", "--checkpoint", "one", &name]).outcome().ok();
    until("it serves", || serves(&name));
    let after = exec(&holm, &name, WHO_AM_I);
    let (before, after): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    assert_eq!(before[1..3], after[1..3], "its hostname");
    assert!(before[3] != after[3] && before[4] != after[4], "{before:?} {after:?}");
}

#[test]
fn a_fork_goes_on_beside_its_origin_as_another() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let name = holm.background(&[], COUNT);
    let at = counted(&holm, &name, 3);
    exec(&holm, &name, "echo shared > /early");
    let copy = holm.name();
    let id = holm.holm(["fork", "--name", &copy, &name]).outcome().ok();
    let now = counted(&holm, &copy, at);
    counted(&holm, &copy, now + 2);
    let origin = last_line(&holm, &name);
    counted(&holm, &name, origin + 2);
    let who = |name: &str| exec(&holm, name, WHO_AM_I).lines().map(str::to_owned).collect::<Vec<_>>();
    let (one, two) = (who(&name), who(&copy));
    assert!(one.len() == 6 && two.len() == 6, "{one:?} {two:?}");
    for (one, two) in one.iter().zip(&two) {
        assert_ne!(one, two);
    }
    assert_eq!((&two[1], &two[2]), (&id[..12].to_owned(), &id[..12].to_owned()));
    let address = two[0].split('/').next().unwrap();
    assert!(exec(&holm, &name, &format!("ping -c 1 {address}")).contains("1 packets received"));
    // Each has a layer of its own.
    exec(&holm, &copy, "cat /early && echo copy > /mine");
    assert_eq!(exec(&holm, &name, "ls /mine 2>/dev/null; cat /early"), "shared");
    let files = directory(&holm, &copy).join("checkpoints");
    assert_eq!(fs::read_dir(files).unwrap().count(), 0);
    // It is a container like any other.
    holm.holm(["restart", "-t", "0", &copy]).outcome().ok();
    assert_eq!(exec(&holm, &copy, "cat /mine"), "copy");
}
