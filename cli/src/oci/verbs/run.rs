//! `run`: create, start, wait, delete.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitCode};
use std::thread;

use anyhow::{Context, Result};
use clap::Args;
use holm_cli::raw_mode::RawMode;
use holm_runtime::oci::{self, Bundle, Client, Created, Streams};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

use super::create::BundleOptions;
use crate::Global;

/// What is passed on to the container.
const PASSED_ON: [Signal; 7] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
];

/// Create and start a container
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Return when it runs
    #[arg(short, long)]
    detach: bool,
    /// Do not delete it when it has ended
    #[arg(long)]
    keep: bool,
    /// Ignored
    #[arg(long, hide = true)]
    no_subreaper: bool,
    #[command(flatten)]
    options: BundleOptions,
}

impl Run {
    pub(super) fn run(&self, global: &Global) -> Result<ExitCode> {
        let request = self.options.request(global, !self.detach)?;
        let signals: SigSet = PASSED_ON.into_iter().collect();
        let raw = if self.detach {
            None
        } else {
            signals.thread_block().context("cannot block signals")?;
            Bundle::load(&request.bundle)?.has_terminal().then(RawMode::enter).transpose()?
        };
        let mut created = oci::create(&request, Streams::inherited()).context("container create failed")?;
        let started = Client::of(&created.container).start();
        if let Err(error) = started {
            // The first failure is the one to tell.
            let _ = oci::delete(&created.container, true);
            return Err(error).context("container start failed");
        }
        if self.detach {
            return Ok(ExitCode::SUCCESS);
        }
        pass_on(signals, &created.supervisor);
        let code = self.wait(&mut created);
        drop(raw);
        code
    }

    fn wait(&self, created: &mut Created) -> Result<ExitCode> {
        let status = created.supervisor.wait().context("cannot wait for the container")?;
        if !self.keep {
            oci::delete(&created.container, true)?;
        }
        let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
        Ok(code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
    }
}

/// Sends what this process is sent to the one that stands for the container. Its number stays its own: it is waited for after the
/// last signal or never.
fn pass_on(signals: SigSet, supervisor: &Child) {
    let Ok(pid) = i32::try_from(supervisor.id()) else { return };
    thread::spawn(move || {
        while let Ok(signal) = signals.wait() {
            // One that has ended is past it.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    });
}
