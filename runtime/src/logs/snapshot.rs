//! All files of a log at one moment, while another process may rotate them.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;

use super::files::LogFiles;

/// Tells files apart while at least one side has them open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn new(metadata: &fs::Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }

    /// Of an open file.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        file.metadata().map(|metadata| Self::new(&metadata))
    }
}

/// More rotations than this during one look, and the log is read with a hole.
const ATTEMPTS: u32 = 100;

/// Opens what there is, oldest first.
///
/// # Errors
/// Any other failure than that a file is not there.
pub(super) fn open(files: &LogFiles) -> io::Result<Vec<File>> {
    let mut found = Vec::new();
    for _ in 0..ATTEMPTS {
        found.clear();
        // From the newest to the oldest: a file that moves on meanwhile is met twice, but never missed.
        for age in 0..=files.max_rotated() {
            match File::open(files.aged(age)) {
                Ok(file) => found.push((age, Identity::of(&file)?, file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let unmoved = found.iter().all(|(age, identity, _)| {
            fs::metadata(files.aged(*age)).is_ok_and(|metadata| Identity::new(&metadata) == *identity)
        });
        let newest_known = found.first().is_some_and(|(age, ..)| *age == 0) || !files.path().exists();
        if unmoved && newest_known {
            break;
        }
    }
    found.dedup_by_key(|(_, identity, _)| *identity);
    Ok(found.into_iter().rev().map(|(_, _, file)| file).collect())
}

/// Whether the open file is still the one that is written to.
pub(super) fn is_current(files: &LogFiles, file: &File) -> io::Result<bool> {
    match fs::metadata(files.path()) {
        Ok(metadata) => Ok(Identity::new(&metadata) == Identity::of(file)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
