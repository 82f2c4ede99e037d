//! The process without a VM: what is refused before KVM is asked, and how that is told.
#![allow(clippy::unwrap_used, clippy::panic)] // the functions that the tests share are tests, too

use std::io::{Seek, Write};
use std::os::fd::AsRawFd;
use std::process::{Command, Output};

use holm_protocol::vm_exit::VmExitKind;

/// Runs `holm-vmm` with `document` on the descriptor that it is told of.
fn run_with(document: &[u8]) -> Output {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(document).unwrap();
    file.rewind().unwrap();
    // Duplicates are inherited; std's own descriptors are not.
    let inherited = nix::unistd::dup(&file).unwrap();
    let number = inherited.as_raw_fd().to_string();
    Command::new(env!("CARGO_BIN_EXE_holm-vmm")).args(["--config-fd", &number]).output().unwrap()
}

fn refusal(output: &Output) -> String {
    assert_eq!(VmExitKind::from_status(output.status.code().unwrap()), VmExitKind::ConfigRefused);
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_malformed_document_is_refused_in_one_line() {
    let text = refusal(&run_with(b"{\"vcpus\": 1"));
    assert!(text.starts_with("holm-vmm: configuration refused: the configuration is malformed: "), "{text}");
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn a_broken_rule_is_refused_in_one_line() {
    let document = br#"{"vcpus":1,"memory_mib":63,"boot":{"kernel":"/k","initramfs":"/i"}}"#;
    let text = refusal(&run_with(document));
    assert_eq!(text, "holm-vmm: configuration refused: 63 MiB of memory; allowed are 64 to 1048576 MiB\n");
}

#[test]
fn an_endless_document_is_refused() {
    assert!(refusal(&run_with(&vec![b' '; (1 << 20) + 1])).contains("longer than 1048576 bytes"));
}

#[test]
fn a_wrong_command_line_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_holm-vmm")).arg("--help").output().unwrap();
    assert!(refusal(&output).contains("usage: holm-vmm --config-fd N"));
}

#[test]
fn the_probe_prints_one_line_that_agrees_with_its_status() {
    let output = Command::new(env!("CARGO_BIN_EXE_holm-vmm")).arg("--probe").output().unwrap();
    let probe: holm_protocol::kvm_probe::KvmProbe = serde_json::from_slice(&output.stdout).unwrap();
    let kind = if probe.usable { VmExitKind::PowerOff } else { VmExitKind::KvmUnusable };
    assert_eq!(output.status.code(), Some(kind.status().into()));
    assert_eq!(probe.usable, probe.reason.is_none());
}
