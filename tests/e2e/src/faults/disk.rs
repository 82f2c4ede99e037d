//! A file system whose power can be cut: ext4 on a file, which is told to write nothing any more (`EXT4_IOC_SHUTDOWN` without a
//! flush of its journal, as xfstests' generic/388 does). Mounted again, it has what was synced, and of the rest what the journal had
//! committed by chance.
#![allow(unsafe_code)] // ioctl(2)

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::ioctl::{Opcode, Setter, ioctl};

use crate::until::until;

/// `EXT4_IOC_SHUTDOWN` (linux/fs/ext4/ext4.h), `FS_IOC_SHUTDOWN` elsewhere.
const SHUTDOWN: Opcode = 0x8004_587d;
/// `EXT4_GOING_FLAGS_NOLOGFLUSH`
const WITHOUT_FLUSH: u32 = 2;
const BYTES: u64 = 256 << 20;

/// Mounted as long as the value lives.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    place: PathBuf,
}

impl Disk {
    /// A new one, with its file and its mount in `directory`.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        let disk = Self { image: directory.join("disk"), place: directory.join("d") };
        fs::create_dir(&disk.place).expect("directory");
        File::create(&disk.image).and_then(|file| file.set_len(BYTES)).expect("file");
        run(Command::new("mke2fs").args(["-q", "-F", "-t", "ext4"]).arg(&disk.image));
        disk.mount();
        disk
    }

    /// Where it is mounted.
    #[must_use]
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Writes everything that was not written yet.
    ///
    /// # Panics
    /// When it cannot.
    pub fn sync(&self) {
        File::open(&self.place).and_then(|place| Ok(rustix::fs::syncfs(place)?)).expect("sync");
    }

    /// From now on nothing is written.
    ///
    /// # Panics
    /// When the file system does not know how.
    pub fn cut(&self) {
        let place = File::open(&self.place).expect("mount");
        // SAFETY: the call reads a 32-bit number.
        let cut = unsafe { ioctl(&place, Setter::<SHUTDOWN, u32>::new(WITHOUT_FLUSH)) };
        cut.map_err(io::Error::from).expect("a file system that can be shut down");
    }

    /// The power is back. Nobody may have a file of it open.
    ///
    /// # Panics
    /// When it cannot be mounted.
    pub fn mount_again(&self) {
        until("nobody uses the disk", || {
            Command::new("umount").arg(&self.place).status().is_ok_and(|status| status.success())
        });
        self.mount();
    }

    fn mount(&self) {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.place));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.place).status();
    }
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().expect("start");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
