//! `holm-runtime manual DIRECTORY`: writes the man pages; for `make install`.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, CommandFactory};

use crate::Cli;

/// Write manual pages (internal)
#[derive(Debug, Args)]
pub(crate) struct Manual {
    /// Where to write them; made if need be
    directory: PathBuf,
}

impl Manual {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let context = || format!("cannot write manual pages into {}", self.directory.display());
        fs::create_dir_all(&self.directory).with_context(context)?;
        clap_mangen::generate_to(Cli::command(), &self.directory).with_context(context)?;
        Ok(ExitCode::SUCCESS)
    }
}
