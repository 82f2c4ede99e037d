//! One entry of a log, as a reader gets it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use holm_protocol::stream::StreamKind;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A line of output, or a part of a long one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The text, with the newline if the line ends here.
    pub text: String,
    /// Stdout or stderr.
    pub stream: StreamKind,
    /// When it was logged.
    pub time: OffsetDateTime,
    /// What `--log-opt` added.
    pub attributes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(default)]
    log: String,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(default)]
    attrs: BTreeMap<String, String>,
}

impl Entry {
    /// Reads a line of a json-file log; `None` when it is none, as one that a crash has torn.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let line: Line<'_> = serde_json::from_slice(line).ok()?;
        let stream = match &*line.stream {
            "stdout" => StreamKind::Stdout,
            "stderr" => StreamKind::Stderr,
            _ => return None,
        };
        let time = OffsetDateTime::parse(&line.time, &Rfc3339).ok()?;
        Some(Self { text: line.log, stream, time, attributes: line.attrs })
    }
}

#[cfg(test)]
mod tests {
    use super::super::encode::{Ending, StreamFields, Timestamp, encode};
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let entry = Entry {
            text: "tab\t, bell \u{7}, \"quotes\" and €\n".into(),
            stream: StreamKind::Stderr,
            time: OffsetDateTime::from_unix_timestamp_nanos(1_795_168_800_123_456_789).unwrap(),
            attributes: BTreeMap::from([("tag".to_owned(), "a\nb".to_owned())]),
        };
        let mut line = Vec::new();
        let fields = StreamFields::new(entry.stream, &entry.attributes);
        encode(&mut line, entry.text.as_bytes(), &Ending::new(&fields, Timestamp::new(entry.time)));
        assert_eq!(Entry::parse(&line), Some(entry));
    }

    #[test]
    fn dockers_own_files_are_read_and_torn_lines_are_not() {
        let dockers = br#"{"log":"x\n","stream":"stdout","time":"2026-11-20T10:00:00.1Z"}"#;
        assert_eq!(Entry::parse(dockers).unwrap().text, "x\n");
        assert_eq!(Entry::parse(br#"{"stream":"stdout","time":"2026-11-20T10:00:00Z"}"#).unwrap().text, "");
        for line in [&br#"{"log":"x","stream":"std"#[..], b"", b"\0\0\0", b"[]", br#"{"log":"x"}"#] {
            assert_eq!(Entry::parse(line), None);
        }
    }
}
