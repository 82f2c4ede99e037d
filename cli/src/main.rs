//! `holm`: the command line. One verb per file under [`commands`]; each calls the engine and prints.
//!
//! Exit codes are Docker's: the workload's own; 125 when Holm fails; 126 for a program that cannot be executed; 127 for
//! one that does not exist; 2 is never used (usage errors are 125 too).

mod attach;
mod cid_file;
mod commands;
mod completion;
mod confined;
mod container_options;
mod copy;
mod device_rate_options;
mod exit;
mod fetch;
mod filters;
mod format;
mod health_options;
mod isolation_options;
mod label_match;
mod limit_options;
mod moment;
mod network_options;
mod nonce;
mod progress;
mod published;
mod supervise;
mod transfer;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser};
use tracing::level_filters::LevelFilter;

use commands::Command;
use holm_cli::output;

/// Containers that each run in a microVM of their own
#[derive(Debug, Parser)]
#[command(name = "holm", version, disable_version_flag = true, max_term_width = 100)]
#[command(after_help = "Run 'holm COMMAND --help' for more information on a command.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    if let Some(code) = completion::answer() {
        return code;
    }
    if let Some(words) = supervise::asked() {
        init_logging();
        return supervise::run(&words).unwrap_or_else(|error| exit::failure(&error));
    }
    if let Some(words) = fetch::asked() {
        init_logging();
        return fetch::run(&words);
    }
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    init_logging();
    match cli.command.run() {
        Ok(code) => code,
        Err(error) => exit::failure(&error),
    }
}

/// Verbs are described when their turn comes, which for most is never. Help and complaints look at several of them, so those
/// are made with all of them described.
fn parse() -> Result<Cli, clap::Error> {
    Cli::try_parse()
        .or_else(|_| described().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)))
}

/// The command line with all of its verbs.
fn described() -> clap::Command {
    let mut command = Cli::command();
    command.build();
    command
}

/// `HOLM_LOG=debug` logs to standard error; without it there are only warnings, as plain lines.
fn init_logging() {
    let level = std::env::var("HOLM_LOG").ok().and_then(|level| level.parse::<LevelFilter>().ok());
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr);
    match level {
        Some(level) => log.with_max_level(level).init(),
        None => log.with_max_level(LevelFilter::WARN).without_time().with_target(false).init(),
    }
}
