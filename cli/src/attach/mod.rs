//! The command line beside a running container: stdio, signals, the terminal, and the exit code.
//!
//! Threads: the main one waits for the supervisor's reports; one carries each stream; one waits for signals.

mod signals;
mod streams;
mod terminal;

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Result;
use holm_protocol::stream::StreamKind;
use holm_runtime::container::Container;
use holm_runtime::supervisor::protocol::{Report, Request};
use holm_runtime::supervisor::{Client, ClientError};

use crate::exit::{FAILURE, Failure};
use crate::output;

/// Starts the container, waits until its workload runs, and prints the id.
///
/// # Errors
/// When it does not start.
pub(crate) fn detached(mut client: Client, container: &Container) -> Result<ExitCode> {
    client.requests()?.send(Request::Start)?;
    // A workload that already ended has started.
    if let Report::Failed { code, message } = client.next_report()? {
        return Err(Failure { code, message }.into());
    }
    output::line(container.id.as_str());
    Ok(ExitCode::SUCCESS)
}

/// Starts the container with the caller's stdio and passes its exit code on.
///
/// # Errors
/// When it does not start or its VM ends early.
pub(crate) fn attached(mut client: Client, container: &Container) -> Result<ExitCode> {
    let settings = &container.record.settings;
    // Before any thread: all of them inherit the mask.
    let signals = signals::block(settings.tty)?;
    let mut outputs = vec![streams::carry_out(client.attach(StreamKind::Stdout)?, std::io::stdout())];
    if !settings.tty {
        outputs.push(streams::carry_out(client.attach(StreamKind::Stderr)?, std::io::stderr()));
    }
    let stdin = if settings.open_stdin { Some(client.attach(StreamKind::Stdin)?) } else { None };
    let requests = client.requests()?;
    requests.send(Request::Start)?;
    let mut raw = None;
    let result = loop {
        match client.next_report() {
            Ok(Report::Started) if raw.is_none() => {
                raw = Some(if settings.tty && std::io::stdin().is_terminal() && settings.open_stdin {
                    Some(terminal::RawMode::enter()?)
                } else {
                    None
                });
                signals.forward(client.requests()?);
                if settings.tty {
                    terminal::report_size(&requests);
                }
                if let Some(stdin) = &stdin {
                    streams::carry_in(stdin.try_clone()?);
                }
            }
            Ok(Report::Started) => {}
            Ok(Report::Exited { code }) => break Ok(code),
            Ok(Report::Failed { code, message }) => break Err(Failure { code, message }),
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
