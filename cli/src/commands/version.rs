//! `holm version`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::host::Installation;
use serde_json::json;

use crate::format::Line;
use crate::output;

/// Show the Holm version information
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  holm version\n  holm version --format '{{.Server.Version}}'\n\n\
                        Fields: of .Client and .Server, which are one program: .Version .Os .Arch .GuestKernelVersion")]
pub(crate) struct Version {
    /// Format output using a Go template, or 'json'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

impl Version {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let kernel = Installation::find()?.kernel_release();
        if let Some(format) = &self.format {
            let program = json!({
                "Version": env!("CARGO_PKG_VERSION"),
                "Os": std::env::consts::OS,
                "Arch": goarch(),
                "GuestKernelVersion": kernel,
            });
            let template = if format == "json" { "{{json .}}" } else { format };
            output::line(&Line::parse(template)?.render(&json!({"Client": program, "Server": program}))?);
            return Ok(ExitCode::SUCCESS);
        }
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
