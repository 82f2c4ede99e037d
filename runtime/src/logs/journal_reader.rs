//! Reads what the journald driver wrote, by `journalctl -o json`: its files are the journal's own business
//! (<https://systemd.io/JOURNAL_EXPORT_FORMATS/>, "Journal JSON Format").
//!
//! Following asks again for what came after the last entry's cursor.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;

use holm_protocol::stream::StreamKind;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::entry::Entry;
use super::error::LogError;
use super::file_reader::LONGEST_WAIT;
use super::journal::PRIORITY_ERROR;
use super::query::{Query, Tail};
use crate::container::Container;

/// A position in the journal.
#[derive(Debug)]
pub(super) struct JournalReader {
    /// Entries that have it are the container's.
    field: String,
    query: Query,
    journal: Option<Running>,
    cursor: Option<String>,
    past_until: bool,
    last_round: bool,
}

#[derive(Debug)]
struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl JournalReader {
    pub(super) fn open(container: &Container, query: Query) -> Result<Self, LogError> {
        let mut reader = Self {
            field: format!("CONTAINER_ID_FULL={}", container.id),
            query,
            journal: None,
            cursor: None,
            past_until: false,
            last_round: false,
        };
        reader.ask()?;
        Ok(reader)
    }

    /// Starts a journalctl that tells what is there now.
    fn ask(&mut self) -> Result<(), LogError> {
        // What was just sent may be on its way; without the right to ask for it, it comes with the next round.
        let _ = Command::new("journalctl").arg("--sync").stderr(Stdio::null()).status();
        let mut command = Command::new("journalctl");
        command.args(["-q", "--all", "--output=json", &self.field]);
        match (&self.cursor, self.query.tail) {
            (Some(cursor), _) => drop(command.arg(format!("--after-cursor={cursor}"))),
            (None, Tail::Last(count)) => drop(command.arg(format!("--lines={count}"))),
            (None, Tail::All) => {}
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(LogError::Journalctl)?;
        let lines = child.stdout.take().ok_or_else(|| LogError::Journalctl(io::Error::other("no output")))?;
        self.journal = Some(Running { child, lines: BufReader::new(lines) });
        Ok(())
    }

    /// As [`super::LogReader::next_entry`].
    pub(super) fn next_entry(&mut self) -> Result<Option<Entry>, LogError> {
        while !self.past_until {
            let Some(journal) = &mut self.journal else { return Ok(None) };
            let mut line = Vec::new();
            if journal.lines.read_until(b'\n', &mut line).map_err(LogError::Journalctl)? == 0 {
                return self.finish().map(|()| None);
            }
            let Some((cursor, entry)) = parse(&line) else { continue };
            self.cursor = Some(cursor);
            if self.query.until.is_some_and(|until| entry.time > until) {
                self.past_until = true;
            } else if self.query.since.is_none_or(|since| entry.time >= since) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    fn finish(&mut self) -> Result<(), LogError> {
        let Some(mut journal) = self.journal.take() else { return Ok(()) };
        let mut words = String::new();
        if let Some(mut stderr) = journal.child.stderr.take() {
            let _ = stderr.read_to_string(&mut words);
        }
        let status = journal.child.wait().map_err(LogError::Journalctl)?;
        // One that finds nothing fails silently.
        if status.success() || words.is_empty() {
            return Ok(());
        }
        Err(LogError::Journalctl(io::Error::other(words.trim_end().to_owned())))
    }

    /// As [`super::LogReader::wait_for_more`].
    pub(super) fn wait_for_more(&mut self, running: impl FnOnce() -> bool) -> Result<bool, LogError> {
        if self.past_until || self.last_round {
            return Ok(false);
        }
        if self.query.until.is_some_and(|until| OffsetDateTime::now_utc() > until) || !running() {
            self.last_round = true;
        } else {
            thread::sleep(LONGEST_WAIT);
        }
        self.ask()?;
        Ok(true)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that ended has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "__CURSOR")]
    cursor: String,
    #[serde(rename = "MESSAGE")]
    message: Message,
    #[serde(rename = "PRIORITY")]
    priority: String,
    #[serde(rename = "SYSLOG_TIMESTAMP")]
    time: String,
    #[serde(default, rename = "CONTAINER_PARTIAL_MESSAGE")]
    partial: Option<String>,
}

/// Text, or bytes where it is none.
#[derive(Deserialize)]
#[serde(untagged)]
enum Message {
    Text(String),
    Bytes(Vec<u8>),
}

/// The cursor and the entry of a line; `None` for what the driver did not write.
pub(super) fn parse(line: &[u8]) -> Option<(String, Entry)> {
    let line: Line = serde_json::from_slice(line).ok()?;
    let mut text = match line.message {
        Message::Text(text) => text,
        Message::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
    };
    if line.partial.is_none() {
        text.push('\n');
    }
    let is_error = line.priority == PRIORITY_ERROR.to_string();
    let stream = if is_error { StreamKind::Stderr } else { StreamKind::Stdout };
    let time = OffsetDateTime::parse(&line.time, &Rfc3339).ok()?;
    Some((line.cursor, Entry { text, stream, time, attributes: BTreeMap::new() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(fields: &str) -> String {
        format!(
            r#"{{"__CURSOR":"s=1;i=2","SYSLOG_TIMESTAMP":"1970-01-01T00:00:07Z","PRIORITY":"6",{fields}}}"#
        )
    }

    #[test]
    fn entries_are_text_or_bytes_and_lines_or_parts() {
        let text = |fields: &str| parse(line(fields).as_bytes()).unwrap().1.text;
        assert_eq!(text(r#""MESSAGE":"hello""#), "hello\n");
        assert_eq!(text(r#""MESSAGE":[27,91,255]"#), "\u{1b}[\u{fffd}\n");
        assert_eq!(text(r#""MESSAGE":"part","CONTAINER_PARTIAL_MESSAGE":"true""#), "part");
        let (cursor, entry) = parse(line(r#""MESSAGE":"x""#).as_bytes()).unwrap();
        assert_eq!((cursor.as_str(), entry.stream), ("s=1;i=2", StreamKind::Stdout));
        assert_eq!(entry.time.unix_timestamp(), 7);
        let error = line(r#""MESSAGE":"x""#).replace("\"6\"", "\"3\"");
        assert_eq!(parse(error.as_bytes()).unwrap().1.stream, StreamKind::Stderr);
        assert!(parse(br#"{"MESSAGE":"somebody's"}"#).is_none());
    }
}
