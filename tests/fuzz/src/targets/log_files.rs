//! Logs as they lie on the disk: files of Docker's format that were rotated, torn, or written by somebody else; lines of the
//! journal's.

use std::fs;

use holm_runtime::logs::fuzzing::{entries, journal_entry};
use holm_runtime::logs::{Query, parse_moment};
use time::{OffsetDateTime, UtcOffset};

use crate::Target;
use crate::input::{Input, Output};

pub(crate) const TARGET: Target = Target {
    name: "log_files",
    run,
    seeds,
    max_bytes: 8192,
    code: &[
        "logs/file_reader.rs",
        "logs/entry.rs",
        "logs/lines.rs",
        "logs/tail.rs",
        "logs/snapshot.rs",
        "logs/moment.rs",
    ],
    words: &[&[
        "{\"log\":\"",
        "\"stream\":\"stdout\"",
        "\"stderr\"",
        "\"time\":\"",
        "\"attrs\":{",
        "2026-11-20T10:00:00.1Z",
        "__CURSOR",
        "MESSAGE",
        "PRIORITY",
        "SYSLOG_TIMESTAMP",
        "CONTAINER_PARTIAL_MESSAGE",
    ]],
};

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (kind, tail) = (input.u8(), input.u8());
    let moment = String::from_utf8_lossy(input.counted()).into_owned();
    let now = OffsetDateTime::from_unix_timestamp(1_795_168_800).unwrap();
    let since = parse_moment(&moment, now, UtcOffset::UTC).ok();
    let tail = match tail {
        255 => "all".parse(),
        count => count.to_string().parse(),
    };
    let query = Query {
        since: since.filter(|_| kind & 1 != 0),
        until: since.filter(|_| kind & 2 != 0),
        tail: tail.unwrap(),
    };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let (newer, older) = (input.counted(), input.rest());
    fs::write(&path, newer).unwrap();
    fs::write(directory.path().join("log.1"), older).unwrap();
    for entry in entries(path, u32::from(kind >> 4), query).unwrap() {
        assert!(query.since.is_none_or(|since| entry.time >= since));
        assert!(query.until.is_none_or(|until| entry.time <= until));
    }
    for line in newer.split(|byte| *byte == b'\n') {
        let _ = journal_entry(line);
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let line = |second: u32| {
        format!(
            "{{\"log\":\"line {second}\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-20T10:00:{second:02}.1Z\"}}\n"
        )
    };
    let lines: String = (0..20).map(line).collect();
    let attributes =
        "{\"log\":\"x\",\"stream\":\"stderr\",\"time\":\"2026-11-20T10:00:00Z\",\"attrs\":{\"tag\":\"t\"}}\n";
    let journal = "{\"__CURSOR\":\"s=1\",\"SYSLOG_TIMESTAMP\":\"1970-01-01T00:00:07Z\",\"PRIORITY\":\"3\",\"MESSAGE\":[27,91]}\n";
    let torn = &lines[..lines.len() - 30];
    let nul = "\0".repeat(100) + attributes;
    let mut seeds = Vec::new();
    for kind in [0x50, 0x51, 0x52, 0x11] {
        for tail in [255, 0, 5] {
            for moment in ["2026-11-20T10:00:05Z", "10m", "1795168800.5", ""] {
                let start = Output::default().u8(kind).u8(tail).counted(moment.as_bytes());
                seeds.push(start.counted(lines.as_bytes()).bytes(torn.as_bytes()).0);
            }
        }
        for newer in [attributes, journal, torn, &nul, "", "\n\n"] {
            let start = Output::default().u8(kind).u8(2).counted(b"1h");
            seeds.push(start.counted(newer.as_bytes()).bytes(lines.as_bytes()).0);
        }
    }
    seeds
}
