//! `holm checkpoint rm`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::checkpoint::{CheckpointName, Checkpoints};

use super::CheckpointDirectory;

/// Remove a checkpoint
///
/// A container that went on from it keeps running.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  holm checkpoint rm web before-update")]
pub(crate) struct RemoveCheckpoint {
    #[command(flatten)]
    directory: CheckpointDirectory,
    /// Name or ID
    container: String,
    /// Name of the checkpoint
    checkpoint: CheckpointName,
}

impl RemoveCheckpoint {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let container = crate::commands::containers()?.find(&self.container)?;
        Checkpoints::at(&container, self.directory.absolute()?.as_deref()).remove(&self.checkpoint)?;
        Ok(ExitCode::SUCCESS)
    }
}
