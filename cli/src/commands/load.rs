//! `holm load`: images from an archive into the store.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use holm_runtime::image::{Archive, LoadedImage};

use crate::{confined, output};

/// Load images from a tar archive, an OCI directory or STDIN
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  holm load -i image.tar\n  podman save busybox | holm load")]
pub(crate) struct Load {
    /// Read from this file or OCI directory instead of STDIN
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Suppress the load output
    #[arg(short, long)]
    quiet: bool,
}

impl Load {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let archive = match self.input {
            Some(path) => Archive::open(path)?,
            None => stdin_archive()?,
        };
        let store = super::images()?;
        confined::to_archive(&store, &archive)?;
        let loaded = store.load(archive, &mut crate::progress::reporter(self.quiet))?;
        if !self.quiet {
            loaded.iter().for_each(report);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn report(image: &LoadedImage) {
    if image.names.is_empty() {
        output::line(&format!("Loaded image ID: {}", image.id));
    }
    for name in &image.names {
        output::line(&format!("Loaded image: {}", name.familiar()));
    }
}

/// Standard input as an archive.
pub(super) fn stdin_archive() -> Result<Archive> {
    if io::stdin().is_terminal() {
        bail!("requested load from stdin, but stdin is empty");
    }
    let file = io::stdin().as_fd().try_clone_to_owned().context("standard input")?;
    Ok(Archive::stdin(file.into()))
}
