//! `holm supervise ID`: the process behind a running container; started by the other verbs, with its listening socket
//! as standard input.

use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use holm_runtime::container::ContainerId;
use holm_runtime::supervisor;

/// Own one container (internal)
#[derive(Debug, Args)]
pub(crate) struct Supervise {
    id: String,
    /// Only for its files: nothing of the container runs
    #[arg(long)]
    files: bool,
}

impl Supervise {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let id: ContainerId = self.id.parse().context("the container to supervise")?;
        let socket = std::io::stdin().as_fd().try_clone_to_owned().context("the supervisor's socket")?;
        let listener = UnixListener::from(socket);
        if self.files {
            supervisor::serve_files(id, listener)?
        } else {
            supervisor::run(id, listener)?
        }
        Ok(ExitCode::SUCCESS)
    }
}
