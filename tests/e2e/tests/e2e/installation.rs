//! `holm doctor`, `holm version`, and an installation with something missing.

use std::process::Command;

use holm_e2e::{Holm, Outcome, TestImage};

/// Runs `holm` with these arguments where a shell command has changed the mounts, which nothing else sees.
fn with_mounts(holm: &Holm, change: &str, arguments: &[&str]) -> Outcome {
    let invocation = holm.holm(arguments).command();
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-ec", &format!("{change}; exec \"$@\""), "sh"]);
    command.arg(invocation.get_program()).args(invocation.get_args());
    command.envs(invocation.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.output().expect("unshare").into()
}

#[test]
fn doctor_finds_a_kvm_that_runs_guests() {
    let out = Holm::empty().holm(["doctor"]).outcome().ok();
    assert!(out.lines().all(|line| line.starts_with("ok ")), "{out}");
}

#[test]
fn version_names_the_guest_kernel() {
    let holm = Holm::with(TestImage::Busybox);
    let version = holm.holm(["version"]).outcome().ok();
    let release = holm.run(["busybox", "uname", "-r"]).ok();
    assert!(version.contains(&release), "{version} lacks {release}");
}

#[test]
fn what_is_missing_is_named_and_nothing_is_left() {
    let holm = Holm::with(TestImage::Busybox);
    let containers = || std::fs::read_dir(holm.root().join("containers")).unwrap().count();
    let name = holm.name();
    let run = || holm.holm(["run", "--rm", "--name", &name, "busybox", "true"]);
    run().env("HOLM_KERNEL", "/nonexistent").outcome().fails(125, "the guest kernel is missing");
    run().env("HOLM_VMM", "/nonexistent").outcome().fails(125, "the VMM is missing");
    run().env("HOLM_KERNEL", "/bin/busybox").outcome().fails(125, "/bin/busybox");
    assert!(!holm.root().join("names").join(&name).exists());
    let before = containers();
    holm.run(["-m", "1m", "busybox", "true"]);
    assert_eq!(containers(), before);
}

#[test]
fn bad_flags_are_one_clear_message() {
    let holm = Holm::with(TestImage::Busybox);
    for (flags, words) in [
        (["-m", "1m"], "minimum memory limit allowed is 6MB"),
        (["--cpus", "99"], "range of CPUs"),
        (["--cap-add", "NOPE"], "invalid capability"),
        (["--ulimit", "nope=1"], "invalid ulimit type"),
        (["--tmpfs", "relative"], "mount path must be absolute"),
        (["--name", "a b"], "invalid container name"),
        (["--sysctl", "vm.swappiness=1"], "is not allowed"),
    ] {
        let out = holm.holm(["run", "--rm"]).args(flags).args(["busybox", "true"]).outcome();
        assert_eq!(out.code, 125, "{flags:?}: {}", out.err());
        assert!(out.err().contains(words), "{flags:?}: {}", out.err());
    }
}

#[test]
fn a_missing_or_useless_kvm_is_named() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let run = ["run", "--rm", "--network", "none", "busybox", "true"];
    with_mounts(&holm, "mount --bind /dev/null /dev/kvm", &run).fails(125, "/dev/kvm");
    let missing = "mount -t tmpfs none /dev; mknod -m 666 /dev/null c 1 3; mknod -m 444 /dev/urandom c 1 9";
    with_mounts(&holm, missing, &run).fails(125, "/dev/kvm");
    with_mounts(&holm, missing, &["run", "--rm", "busybox", "true"]).fails(125, "open /dev/net/tun");
    let doctor = with_mounts(&holm, missing, &["doctor"]);
    assert_eq!(doctor.code, 125, "{}{}", doctor.out(), doctor.err());
    assert!(doctor.out().contains("/dev/kvm"), "{}", doctor.out());
}

/// What ended the supervisor reaches a command line that is slow to connect.
#[test]
fn a_failure_is_named_however_slow_the_command_line_is() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let publish = format!("127.0.0.1:{}:80", taken.local_addr().unwrap().port());
    let invocation = holm.holm(["run", "--rm", "-p", &publish, "busybox", "true"]).command();
    let mut slowly = Command::new("strace");
    slowly.args(["-o", "/dev/null", "-e", "trace=connect", "-e", "inject=connect:delay_enter=1s"]);
    slowly.arg(invocation.get_program()).args(invocation.get_args());
    slowly.envs(invocation.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Outcome::from(slowly.output().expect("strace")).fails(125, "cannot publish tcp port");
}

#[test]
fn a_full_disk_is_named_and_nothing_is_left() {
    let holm = Holm::empty();
    let root = holm.root().to_str().unwrap();
    let archive = TestImage::Debian.archive();
    let archive = archive.to_str().unwrap();
    let small = format!("mkdir -p {root}; mount -t tmpfs -o size=8m none {root}");
    with_mounts(&holm, &small, &["load", "-i", archive]).fails(125, "no space left");
    // The mount ends with the command that sees it: load once more and look, in the same one.
    let load = format!(
        "{small}; if holm load -q -i {archive} 2>/dev/null; then exit 9; fi; set -- find {root} -type f -size +0"
    );
    assert_eq!(with_mounts(&holm, &load, &[]).ok(), "");
}
