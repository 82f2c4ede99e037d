//! `containerd-shim-holm-v2`: containerd's task API (containerd.task.v2) over [`holm_runtime::oci`], and the commands by which
//! containerd starts and cleans up after a shim (containerd, runtime/v2/README.md).
//!
//! ```text
//!   containerd ── start ──> [start] ──> shim (serve) ──> supervisor (the task's pid) ──> holm-vmm
//!        │                                │   ▲    └───> holder, one per exec
//!        └──── task API (ttrpc) ──────────┘   └ reaps both, and tells containerd of their ends
//! ```
//!
//! - [`start`], [`serve`], [`cleanup`]: the commands. `supervise` and `hold` are those of `holm-runtime`.
//! - [`service`]: the task API, call by call. [`task`], [`exec`], [`process`]: what it is about.
//! - [`rootfs`], [`metrics`], [`events`]: mounts, the cgroup's numbers, what containerd is told.
//! - [`streams`], [`destination`], [`logger`]: FIFOs, files and logging binaries for a process's streams.
//!
//! Threads and no async: ttrpc's blocking server has one for each call that waits, and each child has one that reaps it.
//!
//! Trust: containerd is root and trusted. What comes from a guest ends in the supervisor.

mod address;
mod cleanup;
mod command_line;
mod destination;
mod error;
mod events;
mod exec;
mod log;
mod logger;
mod metrics;
mod process;
mod rootfs;
mod serve;
mod service;
mod start;
mod streams;
mod task;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use holm_runtime::oci;

use command_line::{CommandLine, Verb, long_flags};

fn main() -> ExitCode {
    let words = CommandLine::parse_from(long_flags(std::env::args_os()));
    if let Verb::Log { words } = &words.verb {
        // Who started it is told.
        let _ = logger::become_binary(words);
        return ExitCode::FAILURE;
    }
    // The streams of these two are a workload's: they have the log or nothing.
    log::listen(&words);
    let done = match &words.verb {
        Verb::Start => start::start(&words),
        Verb::Serve => serve::serve(&words),
        Verb::Delete => cleanup::delete(&words),
        Verb::Supervise { words } => return status_of(oci::supervise(words)),
        Verb::Log { .. } => return ExitCode::FAILURE,
        Verb::Hold { descriptor } => return status_of(oci::hold(*descriptor)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            // containerd shows it.
            let _ = writeln!(io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whoever started it was told of a failure.
fn status_of(ended: Result<u8, oci::OciError>) -> ExitCode {
    ended.map_or(ExitCode::FAILURE, ExitCode::from)
}
