//! `holm doctor`, `holm version`, and an installation with something missing.

use holm_e2e::{Holm, TestImage};

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
