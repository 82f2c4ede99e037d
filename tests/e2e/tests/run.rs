//! `holm run`: exit codes, isolation, what a container sees. Rows of docs/container-model.md by their id.

use holm_e2e::{Holm, TestImage};

#[test]
fn a_container_runs_and_its_output_arrives() {
    let holm = Holm::with(TestImage::Busybox);
    assert_eq!(holm.run(["busybox", "echo", "hello"]).ok(), "hello");
}

#[test]
fn m19_exit_codes_pass_through() {
    let holm = Holm::with(TestImage::Busybox);
    assert_eq!(holm.run(["busybox", "sh", "-c", "exit 7"]).code, 7);
    holm.run(["busybox", "no-such-program"]).fails(127, "executable file not found in $PATH");
    holm.run(["busybox", "/etc/passwd"]).fails(126, "permission denied");
    holm.run(["no-such-image", "true"]).fails(125, "no-such-image");
}

#[test]
fn m40_the_guest_has_a_kernel_of_its_own() {
    let holm = Holm::with(TestImage::Busybox);
    let host = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_ne!(holm.run(["busybox", "uname", "-r"]).ok(), host.trim());
}
