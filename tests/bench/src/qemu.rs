//! QEMU's microvm machine with Holm's own guest kernel, and one that does nothing else than boot: from the process's start to the first
//! instruction of init, which resets at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::installation;

/// A VM of the same size as Holm's default one.
#[derive(Debug)]
pub(crate) struct MicroVm {
    kernel: PathBuf,
    initramfs: PathBuf,
}

/// Memory of a Holm VM without limits.
pub(crate) const MEMORY_MIB: u32 = 512;

impl MicroVm {
    /// Makes the initramfs in `directory`: busybox alone.
    pub(crate) fn prepare(directory: &Path) -> Result<Self> {
        let tree = directory.join("tree");
        fs::create_dir_all(tree.join("dev"))?;
        fs::copy("/bin/busybox", tree.join("reboot")).context("busybox-static")?;
        let initramfs = directory.join("init.cpio");
        let pack =
            format!("cd {} && find . | busybox cpio -o -H newc > {}", tree.display(), initramfs.display());
        let status = Command::new("sh").args(["-c", &pack]).stderr(Stdio::null()).status()?;
        if !status.success() {
            bail!("cannot pack {}", initramfs.display());
        }
        Ok(Self { kernel: installation::kernel()?, initramfs })
    }

    /// The command; it ends when init resets the machine.
    pub(crate) fn command(&self) -> Command {
        let mut command = machine(&self.kernel);
        command.arg("-initrd").arg(&self.initramfs).args([
            "-append",
            "loglevel=1 reboot=t panic=-1 tsc=reliable random.trust_cpu=on rdinit=/reboot -- -f",
        ]);
        command
    }
}

/// A VM of that size with a kernel, and with nothing else.
pub(crate) fn machine(kernel: &Path) -> Command {
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args([
            "-machine",
            "microvm,accel=kvm,acpi=off,pit=off,pic=off,rtc=off,isa-serial=off,x-option-roms=off",
        ])
        .args(["-cpu", "host", "-smp", "1", "-m", &MEMORY_MIB.to_string()])
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
        .arg("-kernel")
        .arg(kernel);
    command
}
