//! `holm export`: all files of a container as a tar.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use holm_runtime::sandbox::Transfer;
use holm_runtime::supervisor::Moving;

/// Export a container's filesystem as a tar archive
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  holm export -o web.tar web\n  holm export web | tar -t")]
pub(crate) struct Export {
    /// Write to a file, instead of STDOUT
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Name or ID
    container: String,
}

impl Export {
    pub(crate) fn run(self) -> Result<ExitCode> {
        if self.output.is_none() && io::stdout().is_terminal() {
            bail!("cowardly refusing to save to a terminal, use the -o flag or redirect");
        }
        let store = super::containers()?;
        let container = store.find(&self.container)?;
        let files = super::files(&store, &container)?;
        let tar = files.begin(super::transfer(Transfer::ExportTree)?)?;
        match &self.output {
            Some(path) => {
                let what = || format!("cannot write {}", path.display());
                let file = File::create(path).with_context(what)?;
                carry(tar, file, &what())?;
            }
            None => carry(tar, io::stdout().lock(), "cannot write to standard output")?,
        }
        container.note("export", &[]);
        Ok(ExitCode::SUCCESS)
    }
}

/// Carries all that a transfer gives.
pub(super) fn carry(mut from: Moving, mut to: impl Write, what: &str) -> Result<()> {
    io::copy(&mut from, &mut to).and_then(|_| to.flush()).with_context(|| what.to_owned())?;
    Ok(from.end()?)
}
