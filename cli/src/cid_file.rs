//! `--cidfile`: where scripts find the id of the container that they made.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use holm_runtime::container::ContainerId;

/// A file that is there but empty; gone when no container comes to be.
pub(crate) struct CidFile {
    path: PathBuf,
    file: File,
    is_written: bool,
}

impl CidFile {
    /// Makes the file, before anything else is made.
    ///
    /// # Errors
    /// It exists, or cannot be made.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        if path.exists() {
            bail!(
                "container ID file found, make sure the other container isn't running or delete {}",
                path.display()
            );
        }
        let file = File::create_new(path)
            .with_context(|| format!("failed to create the container ID file {}", path.display()))?;
        Ok(Self { path: path.to_owned(), file, is_written: false })
    }

    /// Writes the id.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write(mut self, id: &ContainerId) -> Result<()> {
        self.file
            .write_all(id.as_str().as_bytes())
            .with_context(|| format!("failed to write the container ID to {}", self.path.display()))?;
        self.is_written = true;
        Ok(())
    }
}

impl Drop for CidFile {
    fn drop(&mut self) {
        if !self.is_written {
            // Nobody misses an empty file.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
