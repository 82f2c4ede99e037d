//! A container's log while it runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use holm_protocol::stream::StreamKind;
use time::OffsetDateTime;

use super::attributes;
use super::encode::{Ending, StreamFields, Timestamp};
use super::error::LogError;
use super::journal::Journal;
use super::json_file::JsonFile;
use super::splitter::Splitter;
use crate::container::Container;
use crate::container::settings::{LogConfig, LogDriver};

/// The log of one container; clones are the same log.
#[derive(Clone, Debug)]
pub struct Log {
    destination: Arc<Mutex<Destination>>,
    attributes: BTreeMap<String, String>,
}

#[derive(Debug)]
enum Destination {
    Nowhere,
    File(JsonFile),
    Journal(Journal),
}

/// One of its streams, for the thread that carries it.
#[derive(Debug)]
pub struct StreamLog {
    destination: Arc<Mutex<Destination>>,
    kind: StreamKind,
    fields: StreamFields,
    splitter: Splitter,
    /// When the line began whose end is still to come.
    line_began: Option<Ending>,
}

impl Log {
    /// Opens the log for another run, after the entries of earlier ones.
    ///
    /// # Errors
    /// When its file cannot be opened, or the host has no journal.
    pub fn open(config: &LogConfig, container: &Container) -> Result<Self, LogError> {
        let destination = match config.driver() {
            LogDriver::None => Destination::Nowhere,
            LogDriver::Journald => Destination::Journal(Journal::open(container)?),
            LogDriver::JsonFile => {
                let path = container.log();
                let file = JsonFile::open(path.clone(), config.rotation());
                Destination::File(file.map_err(|source| LogError::Open { path, source })?)
            }
        };
        Ok(Self { destination: Arc::new(Mutex::new(destination)), attributes: attributes::of(container) })
    }

    /// A stream's way into the log.
    #[must_use]
    pub fn stream(&self, kind: StreamKind) -> StreamLog {
        StreamLog {
            destination: Arc::clone(&self.destination),
            kind,
            fields: StreamFields::new(kind, &self.attributes),
            splitter: Splitter::default(),
            line_began: None,
        }
    }
}

impl StreamLog {
    /// Takes the stream's next bytes. Whole lines are in the log when this returns, unless it cannot be written at the
    /// moment; then they are kept for later, or counted.
    pub fn write(&mut self, bytes: &[u8]) {
        self.write_at(bytes, OffsetDateTime::now_utc());
    }

    fn write_at(&mut self, bytes: &[u8], now: OffsetDateTime) {
        let mut destination = self.destination.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*destination, Destination::Nowhere) {
            return;
        }
        let now = Ending::new(&self.fields, Timestamp::new(now));
        destination.retry();
        let (kind, began) = (self.kind, &mut self.line_began);
        self.splitter.push(bytes, |text| destination.take(kind, text, &now, began));
        destination.write_out();
    }

    /// The stream has ended: what is left of its last line goes into the log.
    pub fn finish(self) {
        drop(self);
    }
}

impl Drop for StreamLog {
    fn drop(&mut self) {
        let mut destination = self.destination.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*destination, Destination::Nowhere) {
            return;
        }
        let now = Ending::new(&self.fields, Timestamp::new(OffsetDateTime::now_utc()));
        destination.retry();
        let (kind, began) = (self.kind, &mut self.line_began);
        self.splitter.finish(|text| destination.take(kind, text, &now, began));
        destination.write_out();
    }
}

impl Destination {
    /// One entry. All parts of a long line have the time of its first, as Docker's.
    fn take(&mut self, kind: StreamKind, text: &[u8], now: &Ending, line_began: &mut Option<Ending>) {
        let ending = line_began.as_ref().unwrap_or(now);
        match self {
            Self::Nowhere => {}
            Self::File(file) => file.push(text, ending),
            Self::Journal(journal) => journal.send(kind, text, ending.time()),
        }
        if text.ends_with(b"\n") {
            *line_began = None;
        } else if line_began.is_none() {
            *line_began = Some(now.clone());
        }
    }

    /// Gives what waits another try before it is added to.
    fn retry(&mut self) {
        if let Self::File(file) = self
            && file.failing()
        {
            file.write_out();
        }
    }

    fn write_out(&mut self) {
        if let Self::File(file) = self {
            file.write_out();
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{Entry, LogReader, Query, Tail};
    use super::*;
    use crate::container::settings::Settings;
    use crate::container::{ContainerName, ContainerStore, Record};
    use crate::host::Directories;
    use proptest::prelude::*;
    use std::path::Path;

    /// A container named `web` below `dir`.
    pub(in super::super) fn container(dir: &Path, driver: LogDriver, options: &[&str]) -> Container {
        let directories = Directories::at(dir.join("root"), dir.join("run"));
        directories.create().unwrap();
        let options = options.iter().map(|option| option.parse().unwrap()).collect();
        let record = Record {
            created: OffsetDateTime::UNIX_EPOCH,
            nonce: "nonce".into(),
            image_id: "sha256:0123456789abcdef".into(),
            image: "busybox".into(),
            name: ContainerName::generated(0),
            settings: Settings {
                log_config: LogConfig::new(driver, options).unwrap(),
                ..Settings::default()
            },
        };
        ContainerStore::new(directories).create(record, Some("web".parse().unwrap())).unwrap()
    }

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap()
    }

    fn open(container: &Container) -> Log {
        Log::open(&container.record.settings.log_config, container).unwrap()
    }

    #[test]
    fn both_streams_go_into_one_file_in_the_order_of_their_lines() {
        let dir = tempfile::tempdir().unwrap();
        let container = container(dir.path(), LogDriver::JsonFile, &["tag={{.ID}}"]);
        let log = open(&container);
        let (mut stdout, mut stderr) = (log.stream(StreamKind::Stdout), log.stream(StreamKind::Stderr));
        stdout.write_at(b"begun ", at(0));
        stderr.write_at(b"oops\n", at(1));
        stdout.write_at(b"and ended\nlast", at(2));
        assert_eq!(
            std::fs::read_to_string(container.log()).unwrap().lines().count(),
            2,
            "whole lines are there"
        );
        stderr.finish();
        stdout.finish();
        let lines = std::fs::read_to_string(container.log()).unwrap();
        let lines: Vec<&str> = lines.lines().collect();
        let id = container.id.short();
        assert_eq!(
            lines[..2],
            [
                format!(
                    r#"{{"log":"oops\n","stream":"stderr","attrs":{{"tag":"{id}"}},"time":"1970-01-01T00:00:01.000000000Z"}}"#
                ),
                format!(
                    r#"{{"log":"begun and ended\n","stream":"stdout","attrs":{{"tag":"{id}"}},"time":"1970-01-01T00:00:02.000000000Z"}}"#
                ),
            ]
        );
        assert!(lines[2].starts_with(r#"{"log":"last","stream":"stdout""#), "{}", lines[2]);
    }

    #[test]
    fn parts_of_a_long_line_have_the_time_of_its_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let container = container(dir.path(), LogDriver::JsonFile, &[]);
        let mut stdout = open(&container).stream(StreamKind::Stdout);
        let half = vec![b'x'; 16 << 10];
        for second in 1..=3 {
            stdout.write_at(&half, at(second));
        }
        stdout.write_at(b"\nnext\n", at(4));
        let lines = std::fs::read(container.log()).unwrap();
        let entries = lines.split_inclusive(|byte| *byte == b'\n').map(|line| Entry::parse(line).unwrap());
        let seconds: Vec<_> = entries.map(|entry| entry.time.unix_timestamp()).collect();
        assert_eq!(seconds, [1, 1, 1, 1, 4]);
    }

    #[test]
    fn no_driver_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let container = container(dir.path(), LogDriver::None, &[]);
        let mut stdout = open(&container).stream(StreamKind::Stdout);
        stdout.write(b"x\ny");
        stdout.finish();
        assert!(!container.log().exists());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn what_is_read_is_what_was_written(
            pieces in prop::collection::vec((any::<bool>(), "(?s).{0,20}", 1_usize..600), 0..20),
            chunk_bytes in 1_usize..20_000,
            tail in 0_u64..40,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let container = container(dir.path(), LogDriver::JsonFile, &["max-size=3k", "max-file=1000"]);
            let log = open(&container);
            let mut streams = [StreamKind::Stdout, StreamKind::Stderr].map(|kind| (log.stream(kind), String::new()));
            for (which, text, times) in &pieces {
                let (stream, written) = &mut streams[usize::from(*which)];
                let text = text.repeat(*times);
                text.as_bytes().chunks(chunk_bytes).for_each(|chunk| stream.write(chunk));
                written.push_str(&text);
            }
            let written = streams.map(|(stream, written)| {
                stream.finish();
                written
            });
            let all = read(&container, Tail::All);
            for (kind, written) in [StreamKind::Stdout, StreamKind::Stderr].iter().zip(written) {
                let logged: String = all.iter().filter(|e| e.stream == *kind).map(|e| e.text.as_str()).collect();
                prop_assert!(logged == written);
            }
            let last = all.len().saturating_sub(usize::try_from(tail).unwrap());
            prop_assert!(read(&container, Tail::Last(tail)) == all[last..]);
        }
    }

    fn read(container: &Container, tail: Tail) -> Vec<Entry> {
        let mut reader = LogReader::open(container, Query { tail, ..Query::default() }).unwrap();
        std::iter::from_fn(|| reader.next_entry().unwrap()).collect()
    }
}
