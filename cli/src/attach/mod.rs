//! The command line beside a running process: stdio, signals, the terminal, and the exit code.
//!
//! Threads: the main one waits for the supervisor's reports; one carries each stream; one waits for signals.

mod detach_keys;
mod signals;
mod streams;
mod terminal;

use std::io::IsTerminal;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use clap::Args;
use holm_cli::raw_mode::RawMode;
use holm_protocol::stream::StreamKind;
use holm_runtime::host::{Directories, Left, OfOthers, confine};
use holm_runtime::supervisor::protocol::{Report, Request};
use holm_runtime::supervisor::{Client, ClientError, Requests};

pub(crate) use detach_keys::DetachKeys;

use crate::exit::{FAILURE, Failure};

/// How the command line behaves beside the process.
#[derive(Debug, Args)]
pub(crate) struct AttachOptions {
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "KEYS", default_value_t)]
    pub(crate) detach_keys: DetachKeys,
    /// Proxy received signals to the process
    #[arg(
        long,
        value_name = "BOOL",
        default_value_t = true,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set
    )]
    pub(crate) sig_proxy: bool,
}

/// What is attached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Session<'a> {
    /// The process has a terminal.
    pub(crate) tty: bool,
    /// The caller's standard input goes to it.
    pub(crate) stdin: bool,
    /// The container is to be started once everything is connected.
    pub(crate) start: bool,
    pub(crate) options: &'a AttachOptions,
}

/// Starts the container and waits until its workload runs.
///
/// # Errors
/// When it does not start.
pub(crate) fn detached(client: &mut Client) -> Result<()> {
    start(&client.requests()?)?;
    match client.next_report()? {
        Report::Failed { code, message } => Err(Failure { code, message }.into()),
        // A workload that already ended has started.
        _ => Ok(()),
    }
}

/// Asks for the start of the workload.
fn start(requests: &Requests) -> Result<(), ClientError> {
    match requests.send(Request::Start) {
        Err(error) if !error.is_of_one_that_ends() => Err(error),
        // What ended it is the next report.
        _ => Ok(()),
    }
}

type Streams = (Option<UnixStream>, Option<UnixStream>, Option<UnixStream>);

/// The process's stdout, stderr and stdin, as far as the session has them. A supervisor that is at its end has none: why,
/// is its next report.
fn streams(client: &Client, session: Session<'_>) -> Result<Streams, ClientError> {
    let attach = |wanted: bool, kind| match wanted.then(|| client.attach(kind)).transpose() {
        Err(error) if error.is_of_one_that_ends() => Ok(None),
        result => result,
    };
    Ok((
        attach(true, StreamKind::Stdout)?,
        attach(!session.tty, StreamKind::Stderr)?,
        attach(session.stdin, StreamKind::Stdin)?,
    ))
}

/// Connects the caller's stdio with the process and passes its exit code on. What comes from the guest finds a program that has
/// nothing but Holm's own state to open.
///
/// # Errors
/// When it does not start or its VM ends early.
pub(crate) fn attached(
    mut client: Client,
    directories: &Directories,
    session: Session<'_>,
) -> Result<ExitCode> {
    let of_others = OfOthers::Everything;
    confine(&Left { directories: &[directories.root(), directories.run()], of_others, ..Left::default() })?;
    // Before any thread: all of them inherit the mask.
    let signals = signals::block(session.tty, session.options.sig_proxy)?;
    let (stdout, stderr, stdin) = streams(&client, session)?;
    let mut outputs = Vec::new();
    outputs.extend(stdout.map(|stream| streams::carry_out(stream, &std::io::stdout())).transpose()?);
    outputs.extend(stderr.map(|stream| streams::carry_out(stream, &std::io::stderr())).transpose()?);
    let requests = client.requests()?;
    if session.start {
        start(&requests)?;
    }
    let detached = Arc::new(AtomicBool::new(false));
    let mut raw = None;
    let result = loop {
        match client.next_report() {
            Ok(Report::Started) if raw.is_none() => {
                raw = Some(if session.tty && std::io::stdin().is_terminal() && session.stdin {
                    Some(RawMode::enter()?)
                } else {
                    None
                });
                signals.forward(client.requests()?);
                if session.tty {
                    terminal::report_size(&requests);
                }
                if let Some(stdin) = &stdin {
                    let keys = session.tty.then(|| streams::Detaching {
                        keys: session.options.detach_keys.clone(),
                        detached: Arc::clone(&detached),
                        requests: requests.clone(),
                    });
                    streams::carry_in(stdin.try_clone()?, keys);
                }
            }
            // Signals are answered.
            Ok(
                Report::Started
                | Report::Done
                | Report::Refused { .. }
                | Report::Processes(_)
                | Report::Usage(_)
                | Report::File(_),
            ) => {}
            Ok(Report::Exited { code }) => break Ok(code),
            Ok(Report::Failed { code, message }) => break Err(Failure { code, message }),
            Err(ClientError::Died) if detached.load(Ordering::Acquire) => {
                drop(raw);
                crate::output::note("read escape sequence");
                return Ok(ExitCode::SUCCESS);
            }
            Err(ClientError::Died) => {
                break Err(Failure { code: FAILURE, message: ClientError::Died.to_string() });
            }
            Err(error) => return Err(error.into()),
        }
    };
    // The supervisor closed the streams before it reported; what they hold is printed before the program ends.
    for carrier in outputs {
        let _ = carrier.join();
    }
    drop(raw);
    Ok(ExitCode::from(result?))
}
