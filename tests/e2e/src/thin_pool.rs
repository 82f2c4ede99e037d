//! A pool of thin block devices over files (Linux `Documentation/admin-guide/device-mapper/thin-provisioning.rst`), as containerd's
//! devmapper snapshotter wants one.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use crate::outcome::Outcome;
use crate::until::until;

/// Sizes of its files in bytes, which are sparse.
const DATA_BYTES: u64 = 2 << 30;
const METADATA_BYTES: u64 = 16 << 20;
const SECTOR_BYTES: u64 = 512;
/// Of 64 KiB each, in sectors.
const BLOCK_SECTORS: u64 = 128;

/// Removed with its devices when it is dropped.
#[derive(Debug)]
pub struct ThinPool {
    name: String,
    loops: Vec<String>,
}

impl ThinPool {
    /// Of all that call `dmsetup`: the lab has no udev that would make device nodes.
    pub(crate) const ENVIRONMENT: [(&'static str, &'static str); 1] = [("DM_DISABLE_UDEV", "1")];

    /// With its files in a directory.
    ///
    /// # Panics
    /// When it cannot be made.
    #[track_caller]
    #[must_use]
    pub fn new(name: &str, directory: &Path) -> Self {
        run("modprobe", &["dm_thin_pool"]);
        let mut pool = Self { name: name.to_owned(), loops: Vec::new() };
        for (file, bytes) in [("metadata", METADATA_BYTES), ("data", DATA_BYTES)] {
            let path = directory.join(file);
            File::create(&path).and_then(|file| file.set_len(bytes)).expect("a sparse file");
            pool.loops.push(run("losetup", &["--find", "--show", path.to_str().expect("a path")]));
        }
        let sectors = DATA_BYTES / SECTOR_BYTES;
        let table = format!("0 {sectors} thin-pool {} {BLOCK_SECTORS} 0", pool.loops.join(" "));
        run("dmsetup", &["create", name, "--table", &table]);
        pool
    }

    /// What `dmsetup` calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for ThinPool {
    fn drop(&mut self) {
        let listed = Command::new("dmsetup").arg("ls").output().map(Outcome::from);
        let listed = listed.map(|listed| listed.out()).unwrap_or_default();
        let of_pool = listed.lines().filter_map(|line| line.split_whitespace().next());
        let remove = |name: &str| command("dmsetup").args(["remove", name]).output();
        // containerd's names begin with the pool's.
        for name in of_pool.filter(|name| name.starts_with(&format!("{}-", self.name))) {
            let _ = remove(name);
        }
        until("the pool is removed", || remove(&self.name).is_ok_and(|removed| removed.status.success()));
        for device in &self.loops {
            let _ = Command::new("losetup").args(["--detach", device]).output();
        }
    }
}

#[track_caller]
fn run(program: &str, words: &[&str]) -> String {
    Outcome::from(command(program).args(words).output().expect(program)).ok()
}

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.envs(ThinPool::ENVIRONMENT);
    command
}
