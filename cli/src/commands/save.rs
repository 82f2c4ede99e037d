//! `holm save`: images as an archive that `holm load`, `docker load` and skopeo read.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use holm_runtime::image::{ImageError, ImageStore, Selection};

/// Save one or more images to a tar archive (streamed to STDOUT by default)
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  holm save -o busybox.tar busybox\n  holm save my/server:v1 my/server:v2 | gzip > servers.tar.gz"
)]
pub(crate) struct Save {
    /// Write to a file, instead of STDOUT
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Names or IDs; a name without a tag stands for all its tags
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

impl Save {
    pub(crate) fn run(self) -> Result<ExitCode> {
        if self.output.is_none() && io::stdout().is_terminal() {
            bail!("cowardly refusing to save to a terminal. Use the -o flag or redirect");
        }
        let store = super::images()?;
        let mut selection = Selection::default();
        for name in &self.images {
            // A repository is no image's name: what it has is for the selection to find.
            let known = match super::stored_name(&store, name) {
                Err(ImageError::NotFound(_)) => name.clone(),
                known => known?,
            };
            selection.add(&store, &known)?;
        }
        match &self.output {
            Some(path) => save_to(path, &store, &selection)?,
            None => {
                let stdout = io::stdout().as_fd().try_clone_to_owned().context("standard output")?;
                write(stdout.into(), &store, &selection)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Makes a file, which appears when it is whole, or writes to what is there and is no file.
fn save_to(path: &Path, store: &ImageStore, selection: &Selection) -> Result<()> {
    let context = || format!("cannot write {}", path.display());
    if path.metadata().is_ok_and(|found| !found.is_file()) {
        let file = File::options().write(true).open(path).with_context(context)?;
        return write(file, store, selection);
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let temporary = tempfile::Builder::new()
        .prefix(".holm-save-")
        .tempfile_in(parent.unwrap_or(Path::new(".")))
        .with_context(context)?;
    write(temporary.reopen().with_context(context)?, store, selection)?;
    temporary.persist(path).with_context(context)?;
    Ok(())
}

fn write(file: File, store: &ImageStore, selection: &Selection) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, file);
    store.save(selection, &mut out)?;
    Ok(out.flush()?)
}
