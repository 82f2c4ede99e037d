//! `checkpoint`, `restore`: what runc does with CRIU, which sees no process of a VM.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

/// Refused: CRIU cannot save a container that runs in a VM
#[derive(Debug, Args)]
pub(crate) struct Refused {
    /// runc's
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    words: Vec<String>,
}

impl Refused {
    pub(super) fn run(&self, verb: &str) -> Result<ExitCode> {
        bail!("{verb} is not supported: a container in a VM cannot be saved by CRIU")
    }
}
