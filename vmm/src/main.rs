//! `holm-vmm`, the process: arguments in, one VM, exit status and a last line on standard error out.

use std::error::Error;
use std::io::{self, Write};
use std::os::fd::RawFd;
use std::process::ExitCode;

use holm_protocol::vm_exit::{VmExit, VmExitKind};
use holm_vmm::arguments::{self, Arguments};
use holm_vmm::{config_fd, machine, parent, probe};

fn main() -> ExitCode {
    if let Some(filter) = std::env::var_os("HOLM_LOG") {
        log_to_stderr(&filter.to_string_lossy());
    }
    let exit = match arguments::parse(std::env::args_os().skip(1)) {
        Ok(Arguments::Probe) => return print_probe(),
        Ok(Arguments::Run { config_fd, parent }) => match parent.map_or(Ok(()), parent::end_with) {
            Ok(()) => run(config_fd, parent),
            Err(error) => VmExit::Internal(with_cause(&error)),
        },
        Err(error) => VmExit::ConfigRefused(error.to_string()),
    };
    // Nobody may be listening any more; the status still tells.
    let _ = writeln!(io::stderr(), "holm-vmm: {exit}");
    ExitCode::from(exit.status())
}

fn run(config_fd: RawFd, parent: Option<i32>) -> VmExit {
    holm_faults::prepare();
    holm_faults::crash!("vmm.begin");
    match config_fd::read(config_fd) {
        Ok(config) => machine::run(&config, parent),
        Err(error) => VmExit::ConfigRefused(with_cause(&error)),
    }
}

fn print_probe() -> ExitCode {
    let report = probe::report();
    let written = serde_json::to_string(&report).map(|line| writeln!(io::stdout(), "{line}"));
    let kind = match written {
        Ok(Ok(())) if report.usable => VmExitKind::PowerOff,
        Ok(Ok(())) => VmExitKind::KvmUnusable,
        _ => VmExitKind::Internal,
    };
    ExitCode::from(kind.status())
}

fn with_cause(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

fn log_to_stderr(level: &str) {
    let level = level.parse().unwrap_or(tracing::level_filters::LevelFilter::WARN);
    tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr).with_ansi(false).init();
}
