//! Writes log entries in the format of Docker's json-file driver, byte by byte as Docker writes them:
//! `{"log":"text\n","stream":"stdout","time":"2026-11-20T10:00:00.123456789Z"}`.

use std::collections::BTreeMap;

use holm_protocol::stream::StreamKind;
use time::OffsetDateTime;

/// A point in time as the log has it and `-t` prints it.
#[must_use]
pub fn timestamp(time: OffsetDateTime) -> String {
    Timestamp::new(time).0
}

/// What stands between the text and the time of each of a stream's entries.
#[derive(Clone, Debug)]
pub(super) struct StreamFields(Vec<u8>);

/// A point in time as the log has it: RFC 3339, UTC, nine digits of nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Timestamp(String);

impl StreamFields {
    /// The fields of `stream`, with `attributes` unless there are none.
    pub(super) fn new(stream: StreamKind, attributes: &BTreeMap<String, String>) -> Self {
        let mut bytes = format!("\",\"stream\":\"{stream}\"").into_bytes();
        if !attributes.is_empty() {
            bytes.extend_from_slice(b",\"attrs\":{");
            for (number, (key, value)) in attributes.iter().enumerate() {
                bytes.extend_from_slice(if number == 0 { b"\"" } else { b",\"" });
                escape(&mut bytes, key.as_bytes());
                bytes.extend_from_slice(b"\":\"");
                escape(&mut bytes, value.as_bytes());
                bytes.push(b'"');
            }
            bytes.push(b'}');
        }
        bytes.extend_from_slice(b",\"time\":\"");
        Self(bytes)
    }
}

impl Timestamp {
    pub(super) fn new(time: OffsetDateTime) -> Self {
        let time = time.to_offset(time::UtcOffset::UTC);
        Self(format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z",
            time.year(),
            u8::from(time.month()),
            time.day(),
            time.hour(),
            time.minute(),
            time.second(),
            time.nanosecond()
        ))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Appends an entry with its newline.
pub(super) fn encode(out: &mut Vec<u8>, text: &[u8], fields: &StreamFields, time: &Timestamp) {
    out.extend_from_slice(b"{\"log\":\"");
    escape(out, text);
    out.extend_from_slice(&fields.0);
    out.extend_from_slice(time.0.as_bytes());
    out.extend_from_slice(b"\"}\n");
}

/// Appends `text` as the inside of a JSON string: HTML's special characters escaped as Go does, each byte that is no
/// UTF-8 replaced by U+FFFD.
fn escape(out: &mut Vec<u8>, text: &[u8]) {
    if std::str::from_utf8(text).is_ok() {
        return escape_utf8(out, text);
    }
    for chunk in text.utf8_chunks() {
        escape_utf8(out, chunk.valid().as_bytes());
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

fn escape_utf8(out: &mut Vec<u8>, mut text: &[u8]) {
    loop {
        let plain = plain_prefix(text);
        let (run, rest) = text.split_at_checked(plain).unwrap_or((text, &[]));
        out.extend_from_slice(run);
        text = match rest {
            [] => return,
            [0xe2, 0x80, last @ (0xa8 | 0xa9), rest @ ..] => {
                out.extend_from_slice(b"\\u202");
                out.push(hex_digit(*last));
                rest
            }
            [byte, rest @ ..] => {
                match byte {
                    b'\n' => out.extend_from_slice(b"\\n"),
                    b'\r' => out.extend_from_slice(b"\\r"),
                    b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
                    // Begins a character that is none of the two above.
                    0xe2 => out.push(*byte),
                    _ => {
                        out.extend_from_slice(b"\\u00");
                        out.extend_from_slice(&[hex_digit(*byte >> 4), hex_digit(*byte)]);
                    }
                }
                rest
            }
        };
    }
}

fn hex_digit(byte: u8) -> u8 {
    let digit = byte & 0xf;
    if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }
}

/// Not a byte to copy as it is; 0xe2 may begin a line separator.
const fn special(byte: u8) -> bool {
    (byte < 0x20)
        | (byte == b'"')
        | (byte == b'\\')
        | (byte == b'<')
        | (byte == b'>')
        | (byte == b'&')
        | (byte == 0xe2)
}

/// [`special`] of each byte: looked up faster than computed where there is only one.
const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        #[allow(clippy::cast_possible_truncation, reason = "below 256")]
        let value = byte as u8;
        table[byte] = special(value);
        byte += 1;
    }
    table
};

/// How many bytes can be copied as they are. By blocks, which the compiler turns into vector instructions.
fn plain_prefix(text: &[u8]) -> usize {
    const BLOCK: usize = 16;
    let (blocks, _) = text.as_chunks::<BLOCK>();
    let plain = blocks.iter().take_while(|block| !block.iter().fold(false, |any, byte| any | special(*byte)));
    let start = plain.count() * BLOCK;
    let rest = text.get(start..).unwrap_or_default();
    start + rest.iter().take_while(|byte| !SPECIAL[usize::from(**byte)]).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn escaped(text: &[u8]) -> String {
        let mut out = Vec::new();
        escape(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_entry_is_dockers() {
        let time = OffsetDateTime::from_unix_timestamp_nanos(1_795_168_800_123_456_789).unwrap();
        let mut out = Vec::new();
        let fields = StreamFields::new(StreamKind::Stdout, &BTreeMap::new());
        encode(&mut out, b"text\n", &fields, &Timestamp::new(time));
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"log\":\"text\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-20T10:00:00.123456789Z\"}\n"
        );
        let attributes =
            BTreeMap::from([("tag".to_owned(), "a\"b".to_owned()), ("z".to_owned(), String::new())]);
        let fields = StreamFields::new(StreamKind::Stderr, &attributes);
        assert_eq!(
            fields.0.as_slice(),
            br#"","stream":"stderr","attrs":{"tag":"a\"b","z":""},"time":""#.as_slice()
        );
    }

    #[test]
    fn times_keep_their_zeros() {
        assert_eq!(Timestamp::new(OffsetDateTime::UNIX_EPOCH).as_str(), "1970-01-01T00:00:00.000000000Z");
    }

    #[test]
    fn escapes_are_dockers() {
        assert_eq!(
            escaped(b"\t\x1b[1m \"a\\b\" <&> \x7f\r\n\0"),
            r#"\u0009\u001b[1m \"a\\b\" \u003c\u0026\u003e "#.to_owned() + "\x7f" + r"\r\n\u0000"
        );
        assert_eq!(escaped("é€🏝\u{2028}\u{2029}\u{2027}".as_bytes()), "é€🏝\\u2028\\u2029\u{2027}");
    }

    #[test]
    fn each_byte_that_is_no_utf8_is_replaced() {
        assert_eq!(escaped(b"a\xff\xe2\x82b\xf0\x9f\x98"), r"a\ufffd\ufffd\ufffdb\ufffd\ufffd\ufffd");
        assert_eq!(escaped(b"\xed\xa0\x80"), r"\ufffd\ufffd\ufffd", "a surrogate");
    }

    proptest! {
        #[test]
        fn a_parser_reads_what_was_written(text in "(?s).{0,200}") {
            let json = format!("\"{}\"", escaped(text.as_bytes()));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }

        #[test]
        fn any_bytes_make_a_string(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let json = format!("\"{}\"", escaped(&bytes));
            prop_assert!(serde_json::from_str::<String>(&json).is_ok());
            prop_assert!(!json.contains('\n'));
        }
    }
}
