//! `holm version`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::host::Installation;

use crate::output;

/// Show the Holm version information
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  holm version")]
pub(crate) struct Version {}

impl Version {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let kernel = Installation::find()?.kernel_release();
        output::line(&format!("Holm version:  {}", env!("CARGO_PKG_VERSION")));
        output::line(&format!("Guest kernel:  {}", kernel.as_deref().unwrap_or("unknown")));
        output::line(&format!("OS/Arch:       {}/{}", std::env::consts::OS, goarch()));
        Ok(ExitCode::SUCCESS)
    }
}

/// The architecture's name as images spell it.
fn goarch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
