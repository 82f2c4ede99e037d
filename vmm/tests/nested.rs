//! Nested virtualization is hidden from a guest that does not ask CPUID first (threat T8): a few instructions of ring 0
//! code, booted as a kernel, try to enter it. Which exception they get is told by how the VM ends.
//!
//! Needs a KVM that runs guests, so it runs with the end-to-end tests, and tests the VMM that is installed there.
#![allow(clippy::unwrap_used, clippy::panic)] // the functions that the tests share are tests, too

use std::io::{Seek, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::Command;

use holm_protocol::vm_exit::VmExitKind;

/// Where the image is loaded, and what lies where in it.
const BASE: u32 = 0x10_0000;
const CODE: u32 = 0x1000;
const IDT: u32 = 0x1800;
const IDT_POINTER: u32 = 0x1a00;
const NOTE: u32 = 0x1b00;
const IMAGE_BYTES: usize = 0x1c00;

/// The invalid-opcode handler powers off, the general-protection handler resets; reaching the end is a triple fault.
const POWER_OFF: [u8; 6] = [0x66, 0xba, 0x04, 0x06, 0xee, 0xf4]; // mov dx, 0x604; out dx, al; hlt
const RESET: [u8; 5] = [0xb0, 0xfe, 0xe6, 0x64, 0xf4]; // mov al, 0xfe; out 0x64, al; hlt
const TRIPLE_FAULT: [u8; 11] = [0x0f, 0x01, 0x1c, 0x25, 0, 0, 0, 0, 0xcc, 0xeb, 0xfe]; // lidt [0]; int3; jmp .

/// An ELF64 file of one segment with a PVH note, whose entry runs `attempt` in 64-bit mode with both handlers in place.
fn kernel(attempt: &[u8]) -> Vec<u8> {
    let mut image = vec![0_u8; IMAGE_BYTES];
    let mut put = |at: u32, bytes: &[u8]| {
        let at = usize::try_from(at).unwrap();
        image[at..at + bytes.len()].copy_from_slice(bytes);
    };
    let address = |at: u32| (BASE + at).to_le_bytes();

    // mov esp, BASE; lidt [..]; then the attempt.
    let mut code = vec![0xbc];
    code.extend(address(0));
    code.extend([0x0f, 0x01, 0x1c, 0x25]);
    code.extend(address(IDT_POINTER));
    code.extend(attempt);
    code.extend(TRIPLE_FAULT);
    put(CODE, &code);

    let handlers = CODE + 0x400;
    put(handlers, &POWER_OFF);
    put(handlers + 0x20, &RESET);
    for (vector, handler) in [(6, BASE + handlers), (13, BASE + handlers + 0x20)] {
        let gate = u64::from(handler & 0xffff) | 0x10 << 16 | 0x8e00 << 32 | u64::from(handler >> 16) << 48;
        put(IDT + vector * 16, &gate.to_le_bytes());
    }
    put(IDT_POINTER, &[14 * 16 - 1, 0]);
    put(IDT_POINTER + 2, &address(IDT));

    // The PVH note, which tells a kernel from other programs.
    put(NOTE, &[4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0]);
    put(NOTE + 12, b"Xen\0");
    put(NOTE + 16, &address(CODE));

    // ELF header, then two program headers: PT_LOAD of all, PT_NOTE.
    put(0, b"\x7fELF\x02\x01\x01");
    put(16, &[2, 0, 62, 0, 1, 0, 0, 0]);
    put(24, &u64::from(BASE + CODE).to_le_bytes());
    put(32, &64_u64.to_le_bytes());
    put(52, &[64, 0, 56, 0, 2, 0]);
    for (at, kind, offset, length) in [(64, 1_u32, 0, IMAGE_BYTES as u64), (120, 4, u64::from(NOTE), 20)] {
        put(at, &kind.to_le_bytes());
        put(at + 8, &offset.to_le_bytes());
        put(at + 16, &(u64::from(BASE) + offset).to_le_bytes());
        put(at + 24, &(u64::from(BASE) + offset).to_le_bytes());
        put(at + 32, &length.to_le_bytes());
        put(at + 40, &length.to_le_bytes());
    }
    image
}

/// The one that belongs to the `holm` in PATH.
fn installed_vmm() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let mut programs =
        std::env::split_paths(&path).map(|directory| directory.join("../libexec/holm/holm-vmm"));
    programs.find(|vmm| vmm.is_file()).unwrap()
}

/// How a VM ends that runs `attempt` in ring 0.
fn end_of(attempt: &[u8]) -> VmExitKind {
    let directory = tempfile::tempdir().unwrap();
    let (image, initramfs) = (directory.path().join("kernel"), directory.path().join("initramfs"));
    std::fs::write(&image, kernel(attempt)).unwrap();
    std::fs::write(&initramfs, b"").unwrap();
    let mut file = tempfile::tempfile().unwrap();
    let config = serde_json::json!(
        {"vcpus": 1, "memory_mib": 64, "boot": {"kernel": image, "initramfs": initramfs}}
    );
    file.write_all(config.to_string().as_bytes()).unwrap();
    file.rewind().unwrap();
    let inherited = nix::unistd::dup(&file).unwrap();
    let output = Command::new(installed_vmm())
        .args(["--config-fd", &inherited.as_raw_fd().to_string()])
        .output()
        .unwrap();
    let kind = VmExitKind::from_status(output.status.code().unwrap());
    assert!(
        [VmExitKind::PowerOff, VmExitKind::Reset, VmExitKind::TripleFault].contains(&kind),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    kind
}

const INVALID_OPCODE: VmExitKind = VmExitKind::PowerOff;
const GENERAL_PROTECTION: VmExitKind = VmExitKind::Reset;
const NO_EXCEPTION: VmExitKind = VmExitKind::TripleFault;

/// mov ecx, 0xc0000080; rdmsr; or eax, 0x1000; wrmsr
const SET_SVME: [u8; 14] = [0xb9, 0x80, 0, 0, 0xc0, 0x0f, 0x32, 0x0d, 0, 0x10, 0, 0, 0x0f, 0x30];
/// mov rax, cr4; or eax, 0x2000; mov cr4, rax
const SET_VMXE: [u8; 11] = [0x0f, 0x20, 0xe0, 0x0d, 0, 0x20, 0, 0, 0x0f, 0x22, 0xe0];
const VMRUN: [u8; 3] = [0x0f, 0x01, 0xd8];
/// vmxon [BASE]
const VMXON: [u8; 9] = [0xf3, 0x0f, 0xc7, 0x34, 0x25, 0, 0, 0x10, 0];

#[test]
fn the_rig_tells_exceptions_apart() {
    assert_eq!(end_of(&[0x90]), NO_EXCEPTION);
    assert_eq!(end_of(&[0x0f, 0x0b]), INVALID_OPCODE); // ud2
    assert_eq!(end_of(&[0x0f, 0x20, 0xe0, 0x0f, 0x22, 0xe0]), NO_EXCEPTION); // mov rax, cr4; mov cr4, rax
    assert_eq!(end_of(&[0xb8, 0, 0, 0, 0x80, 0x0f, 0x22, 0xc0]), GENERAL_PROTECTION); // mov cr0, PG without PE
}

#[test]
fn entering_nested_virtualization_is_an_invalid_opcode() {
    // Each vendor's own: what an emulated CPU makes of the other's varies.
    let is_intel = std::fs::read_to_string("/proc/cpuinfo").unwrap().contains("GenuineIntel");
    let enter = if is_intel { VMXON.as_slice() } else { VMRUN.as_slice() };
    assert_eq!(end_of(enter), INVALID_OPCODE);
}

#[test]
fn enabling_nested_virtualization_is_a_protection_fault() {
    assert_eq!(end_of(&SET_SVME), GENERAL_PROTECTION);
    assert_eq!(end_of(&SET_VMXE), GENERAL_PROTECTION);
}
