//! `holm doctor`: can containers run here, and if not, what to do.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::host::{Directories, Installation, is_rootless, probe_kvm};
use holm_runtime::network::is_passt_there;
use holm_runtime::template::TemplateStore;

use crate::exit::FAILURE;
use crate::output;

/// Check whether this machine can run containers
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  holm doctor\n\n\
                        Exit code 0 when containers can run, 125 when not.")]
pub(crate) struct Doctor {}

/// What one check found.
struct Finding {
    what: &'static str,
    result: Result<String, Complaint>,
}

/// What is wrong, and what to do about it.
struct Complaint {
    wrong: String,
    remedy: &'static str,
}

impl Doctor {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let installation = Installation::find()?;
        let findings = [installed(&installation), kvm(&installation), state(), templates(), networks()];
        let mut sound = true;
        for finding in findings {
            match finding.result {
                Ok(detail) => output::line(&format!("ok    {}: {detail}", finding.what)),
                Err(complaint) => {
                    sound = false;
                    output::line(&format!("FAIL  {}: {}", finding.what, complaint.wrong));
                    output::line(&format!("      {}", complaint.remedy));
                }
            }
        }
        Ok(if sound { ExitCode::SUCCESS } else { ExitCode::from(FAILURE) })
    }
}

fn installed(installation: &Installation) -> Finding {
    let result = match installation.check() {
        Ok(()) => Ok(installation.kernel_release().unwrap_or_else(|| "complete".to_owned())),
        Err(error) => Err(Complaint {
            wrong: format!("{:#}", anyhow::Error::from(error)),
            remedy: "Install Holm again: make install",
        }),
    };
    Finding { what: "installation", result }
}

fn kvm(installation: &Installation) -> Finding {
    let remedy = "Holm needs bare metal or a virtual machine with nested virtualization; to try it elsewhere, see make lab.";
    let result = match probe_kvm(installation) {
        Ok(report) if report.usable => {
            let speed = report.instructions_per_second.unwrap_or_default() / 1_000_000;
            Ok(format!("runs guests, {speed} million instructions a second in ring 0"))
        }
        Ok(report) => Err(Complaint { wrong: report.reason.unwrap_or_default(), remedy }),
        Err(error) => Err(Complaint { wrong: format!("{:#}", anyhow::Error::from(error)), remedy }),
    };
    Finding { what: "KVM", result }
}

/// Containers run without templates, too: no complaint.
fn templates() -> Finding {
    let refusal = TemplateStore::new(&Directories::from_environment()).refusal();
    let result = Ok(match refusal {
        None => "starts go on from them".to_owned(),
        Some(why) => format!("not on this host, so every start boots: {why}"),
    });
    Finding { what: "templates", result }
}

/// Containers run without networks, too: no complaint.
fn networks() -> Finding {
    let found = match (is_rootless(), is_passt_there()) {
        (false, _) => "bridges of this host",
        (true, true) => "each container on one of its own, by passt; those that containers share need root",
        (true, false) => "--network none only: install passt, or run as root",
    };
    Finding { what: "networks", result: Ok(found.to_owned()) }
}

fn state() -> Finding {
    let directories = Directories::from_environment();
    let result = match directories.create() {
        Ok(()) => Ok(format!("{} and {}", directories.root().display(), directories.run().display())),
        Err(error) => Err(Complaint {
            wrong: format!("{:#}", anyhow::Error::from(error)),
            remedy: "Run as root, or set HOLM_ROOT and HOLM_RUN to directories of your own.",
        }),
    };
    Finding { what: "state", result }
}
