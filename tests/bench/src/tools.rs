//! The programs that measure within guests: the host's fio, iperf3 and busybox with the libraries that they need, as an image for
//! Holm and as a root disk for QEMU, so that both run the very same files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::containers::{Holm, succeed};

/// The image's name.
pub(crate) const IMAGE: &str = "bench";
/// Where whoever measures files finds a directory to mount something on.
pub(crate) const MOUNT_POINT: &str = "/v";

/// Makes the tree in the working directory. Libraries keep the paths by which the programs ask for them.
const COLLECT: &str = "set -e; umask 022; mkdir -p bin dev etc proc sys tmp usr/bin v; chmod 1777 tmp
    cp /bin/busybox bin; busybox --list | grep -vx busybox | while read applet; do ln -s busybox bin/$applet; done
    for program in fio iperf3; do
        path=$(command -v $program); cp $path usr/bin
        ldd $path | grep -o '/[^ ]*' | while read library; do
            mkdir -p .$(dirname $library); cp -L $library .$library
        done
    done";

/// Where the shell of QEMU's VM listens.
pub(crate) const PORT: u16 = 99;

/// The first program in QEMU's VM: a network, and a shell for whoever connects. The kernel hands `address` of its command line on as a
/// variable.
const INIT: &str = "#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
ip link set lo up
ip addr add $address dev eth0
ip link set eth0 up
exec nc -ll -p PORT -e /bin/sh
";

/// The programs, ready for both.
#[derive(Debug)]
pub(crate) struct Tools {
    disk: PathBuf,
}

impl Tools {
    /// Collects them, imports the image and makes the disk; once for a store.
    pub(crate) fn prepare(holm: &Holm) -> Result<Self> {
        let directory = holm.scratch("tools")?;
        let (tree, disk, archive) =
            (directory.join("tree"), directory.join("root.erofs"), directory.join("tree.tar"));
        if disk.exists() {
            return Ok(Self { disk });
        }
        fs::create_dir_all(&tree)?;
        succeed(Command::new("sh").args(["-c", COLLECT]).current_dir(&tree)).context("fio, iperf3")?;
        write_program(&tree.join("init"), &INIT.replace("PORT", &PORT.to_string()))?;
        succeed(Command::new("tar").arg("-C").arg(&tree).arg("-cf").arg(&archive).arg("."))?;
        succeed(holm.command(["import"]).arg(&archive).arg(IMAGE))?;
        fs::remove_file(&archive)?;
        // The last of all: it says that the rest is there.
        let part = disk.with_extension("part");
        succeed(Command::new("mkfs.erofs").arg("--quiet").arg(&part).arg(&tree)).context("erofs-utils")?;
        fs::rename(&part, &disk)?;
        Ok(Self { disk })
    }

    /// A root file system, EROFS.
    pub(crate) fn disk(&self) -> &Path {
        &self.disk
    }
}

fn write_program(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}
