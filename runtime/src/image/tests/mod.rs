//! The image store as a whole: archives in, disks out.

mod archive;
mod check;
mod committing;
#[path = "../../../../erofs/tests/disk/mod.rs"]
mod disk;
mod hostile;
mod layers;
mod loading;
mod mutation;
mod removal;
mod rootfs;
mod save;
mod tarball;

use std::path::Path;

use super::*;

/// A store in a directory of its own.
struct Fixture {
    directory: tempfile::TempDir,
    store: ImageStore,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = ImageStore::open(directory.path()).unwrap();
        // Whatever else the machine is doing must not matter.
        let limits = LayerLimits { reserve_bytes: 0, ..LayerLimits::default() };
        Self { store: store.with_limits(limits), directory }
    }

    fn load(&self, archive: Vec<u8>) -> Result<Vec<LoadedImage>, ImageError> {
        self.store.load(Archive::Stream(Box::new(std::io::Cursor::new(archive))), &mut |_| {})
    }

    /// Every file under the store but the lock, relative, sorted.
    fn files(&self) -> Vec<String> {
        fn walk(directory: &Path, root: &Path, all: &mut Vec<String>) {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, root, all);
                } else if path.file_name().unwrap() != "lock" {
                    all.push(path.strip_prefix(root).unwrap().display().to_string());
                }
            }
        }
        let mut all = Vec::new();
        walk(&self.directory.path().join("image"), self.directory.path(), &mut all);
        all.sort();
        all
    }
}
