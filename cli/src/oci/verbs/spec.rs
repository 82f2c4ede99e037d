//! `spec`: a config.json to begin with.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

/// Write a config.json to begin with
#[derive(Debug, Args)]
pub(crate) struct Spec {
    /// Directory that gets it
    #[arg(short, long, value_name = "DIRECTORY", default_value = ".")]
    bundle: PathBuf,
    /// Refused: nothing is done without root
    #[arg(long, hide = true)]
    rootless: bool,
}

impl Spec {
    pub(super) fn run(&self) -> Result<ExitCode> {
        if self.rootless {
            bail!("rootless containers are not supported");
        }
        let path = self.bundle.join("config.json");
        let failed = || format!("cannot write {}", path.display());
        let mut file = match File::create_new(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                bail!("File config.json exists. Remove it first")
            }
            file => file.with_context(failed)?,
        };
        let spec = oci_spec::runtime::Spec::default();
        file.write_all(&serde_json::to_vec_pretty(&spec)?).with_context(failed)?;
        Ok(ExitCode::SUCCESS)
    }
}
