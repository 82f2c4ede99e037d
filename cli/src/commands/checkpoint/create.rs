//! `holm checkpoint create`.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use holm_runtime::checkpoint::{CheckpointName, CheckpointPlace};
use holm_runtime::supervisor::Client;
use holm_runtime::supervisor::protocol::{CheckpointRequest, Report};

use super::CheckpointDirectory;
use crate::output;

/// Create a checkpoint from a running container
///
/// It holds the container's memory and its writable layer as they are at one moment, and goes with the container. The
/// container stops afterwards. One with volumes or bind mounts cannot be saved. Commands of 'holm exec' are not part of it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  holm checkpoint create web before-update\n  holm start --checkpoint before-update web\n  holm checkpoint create --checkpoint-dir /backup web monday"
)]
pub(crate) struct CreateCheckpoint {
    /// Leave the container running after checkpoint
    #[arg(long)]
    leave_running: bool,
    #[command(flatten)]
    directory: CheckpointDirectory,
    /// Name or ID
    container: String,
    /// Name of the checkpoint
    checkpoint: CheckpointName,
}

impl CreateCheckpoint {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let store = crate::commands::containers()?;
        let container = store.find(&self.container)?;
        let directories = store.directories();
        let Ok(mut end) = Client::connect(directories, &container) else {
            bail!("container {} is not running", container.name);
        };
        let request = CheckpointRequest {
            owner: container.id.clone(),
            place: CheckpointPlace { name: self.checkpoint.clone(), directory: self.directory.absolute()? },
            leave_running: self.leave_running,
        };
        Client::checkpoint(directories, &container, request)?;
        if !self.leave_running {
            // Until it can be started again.
            while !matches!(end.next_report(), Ok(Report::Exited { .. } | Report::Failed { .. }) | Err(_)) {}
        }
        output::line(self.checkpoint.as_str());
        Ok(ExitCode::SUCCESS)
    }
}
