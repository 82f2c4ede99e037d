//! PAX extended headers: records of `length key=value\n`.

use super::entry::Time;
use super::sparse::{self, Run};
use super::{TarError, header};

const XATTR: &[u8] = b"SCHILY.xattr.";

/// What a member's extended header says; `None` where it says nothing.
#[derive(Debug, Default)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) size_bytes: Option<u64>,
    pub(super) mtime: Option<Time>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: Sparse,
}

/// The GNU.sparse records.
#[derive(Debug, Default)]
pub(super) struct Sparse {
    pub(super) name: Option<Vec<u8>>,
    pub(super) size_bytes: Option<u64>,
    /// Forms 0.0 and 0.1 carry the map here.
    pub(super) runs: Option<Vec<Run>>,
    /// Offset of a run of form 0.0 whose length is still to come.
    pending_offset: Option<u64>,
    major: Option<u64>,
    minor: Option<u64>,
}

impl Sparse {
    /// Form 1.0: the map lies before the contents.
    pub(super) fn map_in_data(&self) -> bool {
        (self.major, self.minor) == (Some(1), Some(0))
    }
}

impl Pax {
    /// Takes a whole extended header. A later record wins; an empty value takes an earlier one back. Extended attributes are all kept,
    /// for whoever takes them to let the later one win: looking for each among the others would take the square of their number.
    pub(super) fn parse(mut records: &[u8]) -> Result<Self, TarError> {
        let mut pax = Self::default();
        while !records.is_empty() {
            let (record, rest) = split_record(records).ok_or_else(|| bad(records))?;
            let (key, value) = split_at_byte(record, b'=').ok_or_else(|| bad(record))?;
            pax.apply(key, value).ok_or_else(|| bad(record))?;
            records = rest;
        }
        Ok(pax)
    }

    /// `None` when the value is malformed.
    fn apply(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        match key {
            b"path" => self.path = name(value)?,
            b"linkpath" => self.link = name(value)?,
            b"uid" => self.uid = number(value)?,
            b"gid" => self.gid = number(value)?,
            b"size" => self.size_bytes = number(value)?,
            b"mtime" => self.mtime = if value.is_empty() { None } else { Some(time(value)?) },
            b"GNU.sparse.name" => self.sparse.name = name(value)?,
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse.size_bytes = number(value)?,
            b"GNU.sparse.major" => self.sparse.major = number(value)?,
            b"GNU.sparse.minor" => self.sparse.minor = number(value)?,
            b"GNU.sparse.map" => self.sparse.runs = Some(sparse::parse_list(value)?),
            b"GNU.sparse.offset" => {
                self.sparse.runs.get_or_insert_default();
                self.sparse.pending_offset = number(value)?;
            }
            b"GNU.sparse.numbytes" => {
                let run = Run { offset: self.sparse.pending_offset.take()?, length: number(value)?? };
                self.sparse.runs.get_or_insert_default().push(run);
            }
            b"" => return None,
            _ => {
                if let Some(xattr) = key.strip_prefix(XATTR) {
                    self.xattrs.push((xattr.to_vec(), value.to_vec()));
                }
            }
        }
        Some(())
    }
}

/// Splits the first record off: `key=value` and what follows.
fn split_record(records: &[u8]) -> Option<(&[u8], &[u8])> {
    let (digits, _) = split_at_byte(records, b' ')?;
    let length = usize::try_from(number(digits)??).ok()?;
    let (record, rest) = records.split_at_checked(length)?;
    Some((record.get(digits.len() + 1..)?.strip_suffix(b"\n")?, rest))
}

pub(super) fn split_at_byte(bytes: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|other| *other == byte)?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

fn name(value: &[u8]) -> Option<Option<Vec<u8>>> {
    if value.contains(&0) {
        return None;
    }
    Some((!value.is_empty()).then(|| value.to_vec()))
}

/// Decimal digits; empty for "not given".
pub(super) fn number(value: &[u8]) -> Option<Option<u64>> {
    if value.is_empty() {
        return Some(None);
    }
    if !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok().map(Some)
}

/// Decimal seconds with an optional sign and fraction; digits beyond nanoseconds are dropped.
fn time(value: &[u8]) -> Option<Time> {
    let (negative, value) = match value.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let (whole, fraction) = split_at_byte(value, b'.').unwrap_or((value, b""));
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = i64::try_from(number(whole)??).ok()?;
    let nanoseconds = fraction
        .iter()
        .chain(std::iter::repeat(&b'0'))
        .take(9)
        .fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    Some(match (negative, nanoseconds) {
        (false, _) => Time { seconds, nanoseconds },
        (true, 0) => Time { seconds: -seconds, nanoseconds },
        (true, _) => Time { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds },
    })
}

fn bad(record: &[u8]) -> TarError {
    let start: String = String::from_utf8_lossy(record).chars().take(60).collect();
    TarError::Pax(start)
}

/// A number of the header, for maps that use its form.
pub(super) fn header_number(bytes: &[u8]) -> Option<u64> {
    u64::try_from(header::numeric(bytes)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &str) -> Vec<u8> {
        let body = format!(" {key}={value}\n");
        let length = (body.len()..).find(|length| length - body.len() == length.to_string().len()).unwrap();
        format!("{length}{body}").into_bytes()
    }

    #[test]
    fn records_apply_and_the_last_wins() {
        let records = [
            record("path", "a"),
            record("path", "b=c\nd"),
            record("linkpath", "x"),
            record("linkpath", ""),
            record("uid", "4000000000"),
            record("SCHILY.xattr.user.a", "1"),
            record("SCHILY.xattr.user.a", ""),
            record("comment", "ignored"),
        ];
        let pax = Pax::parse(&records.concat()).unwrap();
        assert_eq!(pax.path.as_deref(), Some(b"b=c\nd".as_slice()));
        assert_eq!(pax.link, None);
        assert_eq!(pax.uid, Some(4_000_000_000));
        assert_eq!(pax.xattrs, [(b"user.a".to_vec(), b"1".to_vec()), (b"user.a".to_vec(), vec![])]);
    }

    /// It took 13 s (of an unoptimised program) when each was looked for among those before it.
    #[test]
    fn a_header_full_of_attributes_is_read_in_one_pass() {
        let all = (0..36_000).map(|index| record(&format!("SCHILY.xattr.{index:05}"), ""));
        let records: Vec<u8> = all.flatten().collect();
        assert!(records.len() as u64 <= crate::read::MAX_EXTENSION_BYTES);
        assert_eq!(Pax::parse(&records).unwrap().xattrs.len(), 36_000);
    }

    #[test]
    fn malformed_records_are_refused() {
        for records in [
            "x",
            "5 a=b",
            "6 a=bc",
            "99 a=b\n",
            "0 a=b\n",
            "5 ab\n",
            "-5 a=b\n",
            "99999999999999999999999 a=b\n",
            "5 =ab\n",
            "10 uid=-1\n",
            "11 path=a\0b\n",
            "12 mtime=1.x\n",
            "25 GNU.sparse.numbytes=1\n",
        ] {
            assert!(matches!(Pax::parse(records.as_bytes()), Err(TarError::Pax(_))), "{records:?}");
        }
    }

    #[test]
    fn times() {
        let parse = |text: &str| time(text.as_bytes()).map(|time| (time.seconds, time.nanoseconds));
        assert_eq!(parse("1"), Some((1, 0)));
        assert_eq!(parse("1350244992.023960108"), Some((1_350_244_992, 23_960_108)));
        assert_eq!(parse("1.1234567899"), Some((1, 123_456_789)));
        assert_eq!(parse("-1.5"), Some((-2, 500_000_000)));
        assert_eq!(parse("-1"), Some((-1, 0)));
        assert_eq!(parse("9223372036854775807"), Some((i64::MAX, 0)));
        for text in ["", ".5", "--1", "+1", "1e3", "9223372036854775808", " 1"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
