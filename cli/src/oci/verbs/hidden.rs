//! The verbs that other verbs start: processes that stand for those in a guest.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::{host, oci};

/// Stand for a container (internal)
#[derive(Debug, Args)]
pub(crate) struct Supervise {
    /// What `create` found out
    words: String,
}

/// Stand for a process beside a container's own (internal)
#[derive(Debug, Args)]
pub(crate) struct Hold {
    /// Number of the descriptor over which `exec` says what to do
    descriptor: i32,
}

/// Run out of memory (internal)
#[derive(Debug, Args)]
pub(crate) struct Exhaust {}

impl Exhaust {
    pub(super) fn run(&self) -> Result<ExitCode> {
        oci::exhaust()?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Supervise {
    /// With all capabilities: hooks are run by it, which may need any.
    pub(super) fn run(&self) -> Result<ExitCode> {
        host::hide()?;
        Ok(told(oci::supervise(&self.words)))
    }
}

impl Hold {
    pub(super) fn run(&self) -> Result<ExitCode> {
        Ok(told(oci::hold(self.descriptor)))
    }
}

/// Who started it tells of a failure.
fn told(done: Result<u8, oci::OciError>) -> ExitCode {
    done.map_or(ExitCode::FAILURE, ExitCode::from)
}
