//! Printing: results to standard output, complaints to standard error. A reader that went away ends the printing, not
//! the program with an error.

use std::io::{self, Write};

use time::macros::format_description;

/// Prints a line to standard output.
pub fn line(text: &str) {
    let mut stdout = io::stdout().lock();
    // EPIPE: the reader has seen enough.
    let _ = writeln!(stdout, "{text}");
}

/// Prints a line to standard error.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints `holm: <text>` to standard error.
pub fn complain(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = writeln!(stderr, "holm: {text}");
}

/// Prints text to standard output as it is.
pub fn part(text: &str) {
    let mut stdout = io::stdout().lock();
    // EPIPE: the reader has seen enough.
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// A table without borders, columns three spaces apart, as Docker prints them.
pub fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(header.iter().copied());
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// A size with a decimal unit and three digits, as Docker prints it: `4.5MB`.
pub fn size(bytes: u64) -> String {
    in_units(bytes, 1000.0, ["B", "kB", "MB", "GB", "TB", "PB"])
}

/// A size with a binary unit, as Docker prints memory: `4.5MiB`.
pub fn binary_size(bytes: u64) -> String {
    in_units(bytes, 1024.0, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"])
}

#[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
fn in_units(bytes: u64, step: f64, units: [&str; 6]) -> String {
    let mut value = bytes as f64;
    let mut units = units.into_iter();
    let mut unit = units.next().unwrap_or("B");
    while value >= step {
        let Some(larger) = units.next() else { break };
        value /= step;
        unit = larger;
    }
    let digits = if value >= 100.0 || unit == "B" {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

/// A time as Docker's tables show it: `2026-11-20 10:00:00 +0000 UTC`.
pub fn moment(time: time::OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] +0000 UTC");
    // Every time has all the parts that the format names.
    time.to_offset(time::UtcOffset::UTC).format(format).unwrap_or_default()
}

/// What somebody else wrote, on one line and without what terminals obey.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A text of at most so many characters, the last of them `…` where there are more.
pub fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept.push('…');
    kept
}

/// How long ago, in Docker's words: `5 minutes ago`.
pub fn ago(then: time::OffsetDateTime) -> String {
    format!("{} ago", span(time::OffsetDateTime::now_utc() - then))
}

/// A span in Docker's words: `About a minute`, `5 hours`.
pub fn span(span: time::Duration) -> String {
    let (seconds, minutes, hours) = (span.whole_seconds(), span.whole_minutes(), span.whole_hours());
    let (days, weeks, months, years) = (span.whole_days(), span.whole_weeks(), hours / 730, hours / 8766);
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 46 => format!("{minutes} minutes"),
        () if hours < 2 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 14 => format!("{days} days"),
        () if hours < 24 * 60 => format!("{weeks} weeks"),
        () if hours < 24 * 365 * 2 => format!("{months} months"),
        () => format!("{years} years"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_dockers() {
        for (bytes, text) in
            [(0, "0B"), (999, "999B"), (4_500_000, "4.5MB"), (77_800_000, "77.8MB"), (124_000_000, "124MB")]
        {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn spans_read_as_dockers() {
        for (seconds, text) in
            [(0, "Less than a second"), (5, "5 seconds"), (61, "About a minute"), (7200, "2 hours")]
        {
            assert_eq!(span(time::Duration::seconds(seconds)), text);
        }
    }

    #[test]
    fn what_others_wrote_does_not_move_the_cursor() {
        assert_eq!(printable("RUN a\t\u{1b}[2J\nß"), "RUN a  [2J ß");
        assert_eq!((shortened("four", 4).as_str(), shortened("fives", 4).as_str()), ("four", "fiv…"));
    }

    #[test]
    fn tables_have_no_trailing_space() {
        let text = table(&["A", "B"], vec![vec!["long".into(), "x".into()]]);
        assert_eq!(text, "A      B\nlong   x");
    }
}
