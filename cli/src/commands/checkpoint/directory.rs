//! `--checkpoint-dir`: where a checkpoint is.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

/// One flag of all commands that have to do with checkpoints.
#[derive(Debug, Args)]
pub(crate) struct CheckpointDirectory {
    /// Use a custom checkpoint storage directory
    ///
    /// A checkpoint there does not go with its container, and another container of the same image may go on from it.
    #[arg(long = "checkpoint-dir", value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl CheckpointDirectory {
    /// The directory, for a process that has another working directory.
    ///
    /// # Errors
    /// This process has none.
    pub(crate) fn absolute(&self) -> Result<Option<PathBuf>> {
        let absolute = self.directory.as_ref().map(std::path::absolute);
        absolute.transpose().context("cannot tell where --checkpoint-dir is")
    }
}
