//! The names of a log's files: `<path>` is written to, `<path>.1` was before it, and so on.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// One log.
#[derive(Clone, Debug)]
pub(super) struct LogFiles {
    path: PathBuf,
    max_files: u32,
}

impl LogFiles {
    /// At most `max_files` (at least 1), the current one included.
    pub(super) fn new(path: PathBuf, max_files: u32) -> Self {
        Self { path, max_files: max_files.max(1) }
    }

    /// The current file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How many files were rotated away at most.
    pub(super) fn max_rotated(&self) -> u32 {
        self.max_files - 1
    }

    /// Rotated `age` times; 0 is the current file.
    pub(super) fn aged(&self, age: u32) -> PathBuf {
        if age == 0 {
            return self.path.clone();
        }
        let mut name = OsString::from(&self.path);
        name.push(format!(".{age}"));
        name.into()
    }
}
