//! `holm events`: what happens to containers and images, from now on or since some time.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use holm_runtime::events::{Event, EventReader, Journal};
use holm_runtime::logs;
use serde_json::json;
use time::OffsetDateTime;

use super::event_filter::{self, EventFilter};
use crate::format::Line;
use crate::{moment, output};

/// Get real time events of containers and images
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  holm events\n  holm events --since 1h --until 0s --filter event=die\n  \
                        holm events --format '{{.Action}} {{.Actor.ID}}'\n\n\
                        Filters: container=, event=, image=, label=, scope=, type=\n\
                        TIME is a time (2026-11-20T10:00:00Z), seconds since 1970, or how long ago (42m)"
)]
pub(crate) struct Events {
    /// Only events that pass
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<EventFilter>,
    /// Format output using a Go template, or 'json'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show what happened since a time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = moment::parse)]
    since: Option<OffsetDateTime>,
    /// Stream events until a time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = moment::parse)]
    until: Option<OffsetDateTime>,
}

/// How an event is printed.
enum Print {
    Text,
    Json,
    Template(Line),
}

/// With nothing to wait for but events.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

impl Events {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let print = match self.format.as_deref() {
            None => Print::Text,
            Some("json" | "{{json .}}") => Print::Json,
            Some(template) => Print::Template(Line::parse(template)?),
        };
        let journal = Journal::of(super::directories()?.root());
        let mut events = if self.since.is_none() && self.until.is_none() {
            EventReader::from_now(journal)?
        } else {
            EventReader::from_start(journal)?
        };
        loop {
            while let Some(event) = events.next_event()? {
                let event = printable(event);
                if self.until.is_some_and(|until| event.moment() > until) {
                    return Ok(ExitCode::SUCCESS);
                }
                if self.since.is_none_or(|since| event.moment() >= since)
                    && event_filter::passes(&self.filter, &event)
                    && !show(&print.text(&event)?)
                {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            match self.until.map(|until| Duration::try_from(until - OffsetDateTime::now_utc())) {
                None => events.wait(LONGEST_WAIT),
                Some(Ok(left)) if !left.is_zero() => events.wait(left.min(LONGEST_WAIT)),
                Some(_) => return Ok(ExitCode::SUCCESS),
            }
        }
    }
}

/// An event whose names and labels, which others chose, cannot move the cursor.
fn printable(mut event: Event) -> Event {
    for text in [&mut event.action, &mut event.status, &mut event.from] {
        *text = output::printable(text);
    }
    let attributes = event.actor.attributes.iter();
    event.actor.attributes =
        attributes.map(|(name, value)| (output::printable(name), output::printable(value))).collect();
    event
}

/// Prints a line at once; false when the reader has seen enough.
fn show(line: &str) -> bool {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).is_ok()
}

impl Print {
    fn text(&self, event: &Event) -> Result<String> {
        Ok(match self {
            Self::Text => {
                let actor = &event.actor;
                let pairs: Vec<String> = actor.attributes.iter().map(|(k, v)| format!("{k}={v}")).collect();
                let kind = format!("{:?}", event.kind).to_lowercase();
                let what = format!("{kind} {} {} ({})", event.action, actor.id, pairs.join(", "));
                format!("{} {what}", logs::timestamp(event.moment()))
            }
            Self::Json => serde_json::to_string(event)?,
            // By the names of Go's structs, as templates of Docker want them.
            Self::Template(line) => line.render(&json!({
                "Type": event.kind,
                "Action": event.action,
                "Actor": event.actor,
                "Status": event.status,
                "ID": event.id,
                "From": event.from,
                "Scope": event.scope,
                "Time": event.time,
                "TimeNano": event.time_ns,
            }))?,
        })
    }
}
