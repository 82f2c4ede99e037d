//! `holm logs`: what a container wrote, stdout to stdout and stderr to stderr.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_protocol::stream::StreamKind;
use holm_runtime::container::Container;
use holm_runtime::logs::{self, Entry, LogReader, Query, Tail};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use time::OffsetDateTime;

use crate::moment;

/// Fetch the logs of a container
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  holm logs -f web\n  holm logs -t --since 10m -n 100 web\n\n\
                        TIME is a time (2026-11-20T10:00:00Z), seconds since 1970, or how long ago (42m)")]
pub(crate) struct Logs {
    /// Show extra details provided to logs
    #[arg(long)]
    details: bool,
    /// Follow log output
    #[arg(short, long)]
    follow: bool,
    /// Show logs since a time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = moment::parse)]
    since: Option<OffsetDateTime>,
    /// Number of lines to show from the end of the logs
    #[arg(short = 'n', long, value_name = "NUMBER|all", default_value = "all", allow_hyphen_values = true)]
    tail: Tail,
    /// Show timestamps
    #[arg(short, long)]
    timestamps: bool,
    /// Show logs before a time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = moment::parse)]
    until: Option<OffsetDateTime>,
    /// Name or ID
    container: String,
}

impl Logs {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let container = super::containers()?.find(&self.container)?;
        match self.print(&container) {
            // The reader has seen enough.
            Err(error) if error.downcast_ref::<io::Error>().is_some_and(is_broken_pipe) => {
                Ok(ExitCode::SUCCESS)
            }
            other => other.map(|()| ExitCode::SUCCESS),
        }
    }

    fn print(&self, container: &Container) -> Result<()> {
        let query = Query { since: self.since, until: self.until, tail: self.tail };
        let mut log = LogReader::open(container, query)?;
        let mut printer = Printer::new();
        loop {
            while let Some(entry) = log.next_entry()? {
                self.append(&entry, printer.to(entry.stream)?);
            }
            printer.flush()?;
            // A state that is gone is that of a container that was removed.
            if !self.follow
                || !log.wait_for_more(|| container.state().is_ok_and(|state| state.status.is_active()))?
            {
                return Ok(());
            }
        }
    }

    /// The entry as it is printed: time, details, text.
    fn append(&self, entry: &Entry, out: &mut String) {
        // Writing to a string does not fail.
        if self.timestamps {
            let _ = write!(out, "{} ", logs::timestamp(entry.time));
        }
        if self.details {
            for (number, (key, value)) in entry.attributes.iter().enumerate() {
                let comma = if number == 0 { "" } else { "," };
                let _ = write!(out, "{comma}{}={}", query_escaped(key), query_escaped(value));
            }
            out.push(' ');
        }
        out.push_str(&entry.text);
    }
}

fn is_broken_pipe(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

/// What Docker leaves as it is in details: Go's url.QueryEscape.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b' ');

fn query_escaped(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string().replace(' ', "+")
}

/// Both outputs, in the order of the entries: they may be the same terminal.
struct Printer {
    stream: StreamKind,
    buffer: String,
}

/// How much is printed at a time.
const BUFFER_BYTES: usize = 64 << 10;

impl Printer {
    fn new() -> Self {
        Self { stream: StreamKind::Stdout, buffer: String::new() }
    }

    /// Where to put what goes to `stream`.
    fn to(&mut self, stream: StreamKind) -> io::Result<&mut String> {
        if stream != self.stream || self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
            self.stream = stream;
        }
        Ok(&mut self.buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.stream == StreamKind::Stderr {
            io::stderr().lock().write_all(self.buffer.as_bytes())?;
        } else {
            let mut stdout = io::stdout().lock();
            stdout.write_all(self.buffer.as_bytes())?;
            stdout.flush()?;
        }
        self.buffer.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        logs: Logs,
    }

    fn parse(args: &[&str]) -> Logs {
        Cli::try_parse_from([&["logs"], args].concat()).unwrap().logs
    }

    fn printed(args: &[&str], attributes: &[(&str, &str)]) -> String {
        let mut out = String::new();
        let entry = Entry {
            text: "text\n".into(),
            stream: StreamKind::Stdout,
            time: OffsetDateTime::UNIX_EPOCH,
            attributes: attributes.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        };
        parse(&[args, &["web"]].concat()).append(&entry, &mut out);
        out
    }

    #[test]
    fn entries_are_printed_as_dockers() {
        assert_eq!(printed(&[], &[]), "text\n");
        assert_eq!(printed(&["-t"], &[]), "1970-01-01T00:00:00.000000000Z text\n");
        assert_eq!(printed(&["--details"], &[]), " text\n");
        assert_eq!(
            printed(&["--details", "-t"], &[("tag", "a b/ä"), ("z", "1")]),
            "1970-01-01T00:00:00.000000000Z tag=a+b%2F%C3%A4,z=1 text\n"
        );
    }

    #[test]
    fn flags_are_dockers() {
        let logs = parse(&["-f", "-n", "5", "--since", "0", "--until", "1795168800", "web"]);
        assert!(logs.follow && !logs.timestamps && !logs.details);
        assert_eq!((logs.tail, logs.since), (Tail::Last(5), Some(OffsetDateTime::UNIX_EPOCH)));
        assert_eq!(parse(&["--tail=-1", "web"]).tail, Tail::All);
        assert!(parse(&["--since", "-10m", "web"]).since > Some(OffsetDateTime::now_utc()));
        for args in [&["--tail", "some", "web"][..], &["--since", "yesterday", "web"], &[]] {
            assert!(Cli::try_parse_from([&["logs"], args].concat()).is_err(), "{args:?}");
        }
    }
}
