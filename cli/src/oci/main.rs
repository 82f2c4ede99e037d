//! `holm-runtime`: an OCI runtime command line with runc's verbs and flags, for podman, Docker and other engines. One verb per
//! file under [`verbs`]; each calls [`holm_runtime::oci`] and prints.
//!
//! Exit codes are runc's: 1 for every failure (255 for one of `exec`), the workload's own for `run` and `exec`.

mod log;
mod verbs;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use log::{Log, LogFormat};
use verbs::Verb;

/// Containers that each run in a microVM of their own, for engines that run OCI runtimes
#[derive(Debug, Parser)]
#[command(name = "holm-runtime", version = VERSION, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// The version of this program, and of the specification that it follows.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\nspec: 1.2.0");

/// What stands before the verb.
#[derive(Debug, clap::Args)]
struct Global {
    /// Directory for the state of containers; it should be on a tmpfs
    #[arg(long, value_name = "DIRECTORY", default_value = "/run/holm-runtime")]
    root: PathBuf,
    /// File to which messages are appended; standard error without it
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// How messages are written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// Write more messages
    #[arg(long)]
    debug: bool,
    /// Take cgroup paths as systemd's (SLICE:PREFIX:NAME)
    #[arg(long)]
    systemd_cgroup: bool,
    /// Ignored: nothing is done without root
    #[arg(long, value_name = "true|false|auto", hide = true)]
    rootless: Option<String>,
    /// Ignored: VMs are not saved by CRIU
    #[arg(long, value_name = "PATH", hide = true)]
    criu: Option<String>,
}

impl Global {
    /// The state's directory, whatever directory this process changes to.
    fn root(&self) -> anyhow::Result<PathBuf> {
        Ok(std::path::absolute(&self.root)?)
    }

    /// The words that make another process of this program log where this one does.
    fn words(&self) -> anyhow::Result<Vec<String>> {
        let mut words = vec!["--log-format".to_owned(), self.log_format.to_string()];
        if let Some(path) = &self.log {
            let path = std::path::absolute(path)?;
            words.extend(["--log".to_owned(), path.to_string_lossy().into_owned()]);
        }
        if self.debug {
            words.push("--debug".to_owned());
        }
        Ok(words)
    }
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing can be done about a standard output that is gone.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    let log = Log::new(cli.global.log.clone(), cli.global.log_format);
    // The streams of these are a workload's.
    if cli.global.log.is_some() || !cli.verb.has_workloads_streams() {
        log.listen(cli.global.debug);
    }
    let failure = cli.verb.failure();
    cli.verb.run(&cli.global).unwrap_or_else(|error| {
        log.complain(&format!("{error:#}"));
        failure
    })
}
