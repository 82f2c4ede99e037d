//! Points in time as Docker's command line takes them: `2026-11-20T10:00:00Z`, `1795168800.5`, or `42m` for so long ago.

use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime, UtcOffset};

/// None of the three forms.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "failed to parse value as time or duration: {0:?}; want a time such as 2026-11-20T10:00:00Z, seconds since 1970, or \
     how long ago, such as 42m"
)]
pub struct MomentError(String);

/// Reads a point in time. `now` is where durations count back from; `local` is the zone of times that name none.
///
/// # Errors
/// When it is none, or lies outside of the years 0 to 9999.
pub fn parse(text: &str, now: OffsetDateTime, local: UtcOffset) -> Result<OffsetDateTime, MomentError> {
    let ago = |text| now.checked_sub(duration(text)?);
    // As in Docker, a lone 0 is a number of seconds since 1970.
    let moment = if text == "0" { None } else { ago(text) };
    moment.or_else(|| date(text, local)).or_else(|| unix(text)).ok_or_else(|| MomentError(text.to_owned()))
}

/// Go's durations: `1h30m`, `1.5s`, `-10ms`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.is_empty() {
        return None;
    }
    let mut nanoseconds: i128 = 0;
    while !rest.is_empty() {
        let number = prefix(rest, |c| c.is_ascii_digit() || c == '.');
        let after = rest.get(number.len()..)?;
        let unit = prefix(after, |c| !c.is_ascii_digit() && c != '.');
        rest = after.get(unit.len()..)?;
        let unit: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        nanoseconds = nanoseconds.checked_add(digits(whole)?.checked_mul(unit)?)?;
        nanoseconds = nanoseconds.checked_add(billionths(fraction)?.checked_mul(unit)? / 1_000_000_000)?;
    }
    let nanoseconds = i64::try_from(nanoseconds).ok()?;
    Some(Duration::nanoseconds(if negative { -nanoseconds } else { nanoseconds }))
}

fn prefix(text: &str, belongs: impl Fn(char) -> bool) -> &str {
    text.find(|c| !belongs(c)).and_then(|end| text.get(..end)).unwrap_or(text)
}

/// A number of at most 18 digits; none are 0.
fn digits(text: &str) -> Option<i128> {
    let plain = text.len() <= 18 && text.bytes().all(|b| b.is_ascii_digit());
    if text.is_empty() { Some(0) } else { plain.then(|| text.parse().ok())? }
}

/// The digits behind a point, as billionths.
fn billionths(fraction: &str) -> Option<i128> {
    let nine: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    fraction.bytes().all(|b| b.is_ascii_digit()).then(|| digits(&nine))?
}

/// A date with as much of the time as was given.
fn date(text: &str, local: UtcOffset) -> Option<OffsetDateTime> {
    let (date, rest) = text.split_at_checked(10)?;
    let zone_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (time, zone) = rest.split_at_checked(zone_at)?;
    let time = time.strip_prefix('T').filter(|time| !time.is_empty()).or(time.is_empty().then_some("00"))?;
    let missing = match time.bytes().filter(|b| *b == b':').count() {
        0 => ":00:00",
        1 => ":00",
        _ => "",
    };
    let zone = if zone.is_empty() {
        let (hours, minutes, _) = local.as_hms();
        let sign = if local.is_negative() { '-' } else { '+' };
        format!("{sign}{:02}:{:02}", hours.unsigned_abs(), minutes.unsigned_abs())
    } else {
        zone.to_owned()
    };
    OffsetDateTime::parse(&format!("{date}T{time}{missing}{zone}"), &Rfc3339).ok()
}

/// Seconds since 1970, with a fraction.
fn unix(text: &str) -> Option<OffsetDateTime> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if whole.is_empty() || fraction.is_empty() {
        return None;
    }
    let nanoseconds = digits(whole)? * 1_000_000_000 + billionths(fraction)?;
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn now() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_795_168_800).unwrap()
    }

    fn nanoseconds(text: &str) -> Option<i128> {
        let local = UtcOffset::from_hms(2, 0, 0).unwrap();
        parse(text, now(), local).ok().map(OffsetDateTime::unix_timestamp_nanos)
    }

    #[test]
    fn every_form_is_understood() {
        let start = now().unix_timestamp_nanos();
        let second = 1_000_000_000;
        for (text, expected) in [
            ("2026-11-20T10:00:00Z", start),
            ("2026-11-20T10:00:00.000000005Z", start + 5),
            ("2026-11-20T11:00:00+01:00", start),
            ("2026-11-20T08:00-02:00", start),
            ("2026-11-20T10Z", start),
            ("2026-11-20T12:00:00", start),
            ("2026-11-20T12:00", start),
            ("2026-11-20T12", start),
            ("2026-11-20", start - 12 * 3600 * second),
            ("2026-11-20Z", start - 10 * 3600 * second),
            ("1795168800", start),
            ("1795168800.5", start + second / 2),
            ("0", 0),
            ("42m", start - 42 * 60 * second),
            ("1h30m", start - 5400 * second),
            ("1.5s", start - 3 * second / 2),
            ("0s", start),
            ("-10m", start + 600 * second),
            ("250ms", start - second / 4),
        ] {
            assert_eq!(nanoseconds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "yesterday",
            "2026-13-01",
            "2026-11-20 10:00",
            "2026-11-20T",
            "10x",
            "m",
            ".s",
            "-",
            "1.",
            "-5",
            "1e9",
        ] {
            assert_eq!(nanoseconds(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "[-0-9.:TZhms+µ ]{0,30}") {
            let _ = nanoseconds(&text);
        }
    }
}
