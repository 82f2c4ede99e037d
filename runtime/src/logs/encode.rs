//! Log entries as Docker's json-file driver writes them:
//! `{"log":"text\n","stream":"stdout","time":"2026-11-20T10:00:00.123456789Z"}`, a line each.

use std::borrow::Cow;
use std::collections::BTreeMap;

use holm_protocol::stream::StreamKind;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

/// RFC 3339, UTC, nine digits of nanoseconds.
const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:9]Z");

/// A point in time as the log has it and `-t` prints it.
#[must_use]
pub fn timestamp(time: OffsetDateTime) -> String {
    Timestamp::new(time).0
}

/// What is the same in all entries of a stream.
#[derive(Clone, Debug)]
pub(super) struct StreamFields {
    /// What stands between the text and the time.
    between: String,
}

/// A point in time as the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Timestamp(String);

/// What follows the text of an entry; all entries of one piece of a stream have the same.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    time: Timestamp,
    /// From the text's newline on.
    bytes: Vec<u8>,
}

/// The newline that ends nearly every text, and the end of the JSON string.
const NEWLINE: &[u8] = br#"\n""#;

impl Ending {
    pub(super) fn new(fields: &StreamFields, time: Timestamp) -> Self {
        let bytes = [NEWLINE, fields.between.as_bytes(), time.0.as_bytes(), b"\"}\n"].concat();
        Self { time, bytes }
    }

    pub(super) fn time(&self) -> &Timestamp {
        &self.time
    }
}

impl StreamFields {
    /// The fields of `stream`, with `attributes` unless there are none.
    pub(super) fn new(stream: StreamKind, attributes: &BTreeMap<String, String>) -> Self {
        let mut between = format!(r#","stream":"{stream}""#);
        if !attributes.is_empty() {
            // Strings: nothing in it can fail.
            let attributes = serde_json::to_string(attributes).unwrap_or_default();
            between.extend([r#","attrs":"#, &attributes]);
        }
        between.push_str(r#","time":""#);
        Self { between }
    }
}

impl Timestamp {
    pub(super) fn new(time: OffsetDateTime) -> Self {
        // Every time has all the parts that the format names.
        Self(time.to_offset(UtcOffset::UTC).format(TIME).unwrap_or_default())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Appends the line of an entry.
pub(super) fn encode(out: &mut Vec<u8>, text: &[u8], ending: &Ending) {
    match text.strip_suffix(b"\n") {
        // The usual line. Looking at each of its bytes alone would take longer than all the rest.
        Some(line) if is_plain(line) => {
            out.extend_from_slice(br#"{"log":""#);
            out.extend_from_slice(line);
            out.extend_from_slice(&ending.bytes);
        }
        _ => {
            out.extend_from_slice(br#"{"log":"#);
            // Into memory: nothing in it can fail.
            serde_json::to_writer(&mut *out, &replaced(text)).unwrap_or_default();
            out.extend_from_slice(ending.bytes.get(NEWLINE.len()..).unwrap_or_default());
        }
    }
}

/// Whether a text stands in JSON as it is: nothing but ASCII, and none of it to be escaped. Without an early end, so that
/// it is done by vector instructions.
fn is_plain(text: &[u8]) -> bool {
    text.iter()
        .fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~') & (*byte != b'"') & (*byte != b'\\'))
}

/// The text with U+FFFD for each byte that is no UTF-8, as Docker (Go) has it.
fn replaced(text: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(text) {
        return text.into();
    }
    let chunks = text.utf8_chunks();
    chunks
        .flat_map(|chunk| {
            let invalid = chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER);
            chunk.valid().chars().chain(invalid)
        })
        .collect::<String>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(text: &[u8], attributes: &[(&str, &str)]) -> String {
        let time = OffsetDateTime::from_unix_timestamp_nanos(1_795_168_800_123_456_789).unwrap();
        let attributes = attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut out = Vec::new();
        let fields = StreamFields::new(StreamKind::Stdout, &attributes);
        encode(&mut out, text, &Ending::new(&fields, Timestamp::new(time)));
        String::from_utf8(out).unwrap()
    }

    fn text_of(line: &str) -> String {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["log"].as_str().unwrap().to_owned()
    }

    #[test]
    fn an_entry_is_dockers() {
        assert_eq!(
            encoded(b"text\n", &[]),
            "{\"log\":\"text\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-20T10:00:00.123456789Z\"}\n"
        );
        assert_eq!(
            encoded(b"", &[("tag", "a\"b"), ("z", "")]),
            "{\"log\":\"\",\"stream\":\"stdout\",\"attrs\":{\"tag\":\"a\\\"b\",\"z\":\"\"},\"time\":\"2026-11-20T10:00:00.123456789Z\"}\n"
        );
    }

    #[test]
    fn every_byte_of_a_line_is_escaped_as_json_has_it() {
        for byte in 0..=0x7f_u8 {
            for text in [vec![byte], vec![byte, b'\n'], [&[b'a'; 40][..], &[byte, b'\n']].concat()] {
                let text = String::from_utf8(text).unwrap();
                let expected = format!("{{\"log\":{},", serde_json::to_string(&text).unwrap());
                let line = encoded(text.as_bytes(), &[]);
                assert!(line.starts_with(&expected), "{text:?}: {line}");
            }
        }
    }

    #[test]
    fn times_keep_their_zeros() {
        assert_eq!(Timestamp::new(OffsetDateTime::UNIX_EPOCH).as_str(), "1970-01-01T00:00:00.000000000Z");
    }

    #[test]
    fn each_byte_that_is_no_utf8_is_replaced() {
        let replaced = |text: &[u8]| text_of(&encoded(text, &[])).replace('\u{fffd}', "?");
        assert_eq!(replaced(b"a\xff\xe2\x82b\xf0\x9f\x98"), "a???b???");
        assert_eq!(replaced(b"\xed\xa0\x80"), "???", "a surrogate");
    }

    proptest! {
        #[test]
        fn any_bytes_make_one_line(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let line = encoded(&bytes, &[]);
            prop_assert_eq!(line.matches('\n').count(), 1);
            prop_assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok());
            if let Ok(text) = std::str::from_utf8(&bytes) {
                prop_assert_eq!(text_of(&line), text);
            }
        }
    }
}
