//! `holm import`: a root file system's tar becomes an image.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::image::{Archive, ConfigChange, ImportOptions, Reference};

use crate::{confined, output};

/// Import the contents of a tarball to create a filesystem image
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  holm import -c 'CMD [\"/bin/bash\"]' debian.tar debian:mine\n  \
                        cat rootfs.tar | holm import - rootfs")]
pub(crate) struct Import {
    /// Apply a Dockerfile instruction to the created image
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<ConfigChange>,
    /// Set a commit message for the imported image
    #[arg(short, long)]
    message: Option<String>,
    /// The tar archive; - for STDIN
    file: PathBuf,
    /// The image's name
    name: Option<Reference>,
}

impl Import {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let archive = if self.file.as_os_str() == "-" {
            super::load::stdin_archive()?
        } else {
            Archive::open(self.file)?
        };
        let options = ImportOptions { name: self.name, message: self.message, changes: self.change };
        let store = super::images()?;
        confined::to_archive(&store, &archive)?;
        let image = store.import(archive, &options, &mut crate::progress::reporter(false))?;
        output::line(&image.id.to_string());
        Ok(ExitCode::SUCCESS)
    }
}
