//! Reads a log of the json-file driver, and follows it while it grows.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::time::Duration;

use time::OffsetDateTime;

use super::entry::Entry;
use super::error::LogError;
use super::files::LogFiles;
use super::lines::Lines;
use super::query::{Query, Tail};
use super::snapshot::{self, Identity};
use super::tail;
use crate::container::Container;
use crate::host::Watch;

/// How long to wait at most: what inotify does not tell is the death of a supervisor.
pub(super) const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// A position in the files of a log.
#[derive(Debug)]
pub(super) struct FileReader {
    files: LogFiles,
    query: Query,
    current: Option<Lines>,
    /// Newer than `current`.
    newer: VecDeque<Lines>,
    /// The rest of the log is newer than what was asked for.
    past_until: bool,
    /// It was not running when it was last asked: what is there now is all.
    last_round: bool,
    watch: Option<Watch>,
}

impl FileReader {
    /// Opens all files that there are. A container that never ran has none, and that is an empty log.
    pub(super) fn open(container: &Container, query: Query) -> Result<Self, LogError> {
        let config = &container.record.settings.log_config;
        Self::open_files(LogFiles::new(container.log(), config.rotation().max_files), query)
    }

    pub(super) fn open_files(files: LogFiles, query: Query) -> Result<Self, LogError> {
        let lines = snapshot::open(&files).and_then(|found| positions(found, query.tail));
        let newer = lines.map_err(|source| read_error(&files, source))?;
        Ok(Self { files, query, current: None, newer, past_until: false, last_round: false, watch: None })
    }

    /// As [`super::LogReader::next_entry`]. What is no entry is left out.
    pub(super) fn next_entry(&mut self) -> Result<Option<Entry>, LogError> {
        while !self.past_until {
            let line = match &mut self.current {
                Some(lines) => lines.next().map_err(|source| read_error(&self.files, source))?,
                None => None,
            };
            match line.map(Entry::parse) {
                Some(Some(entry)) if self.query.since.is_some_and(|since| entry.time < since) => {}
                Some(Some(entry)) if self.query.until.is_some_and(|until| entry.time > until) => {
                    self.past_until = true;
                }
                Some(Some(entry)) => return Ok(Some(entry)),
                Some(None) => {}
                None => match self.newer.pop_front() {
                    Some(next) => self.current = Some(next),
                    None => return Ok(None),
                },
            }
        }
        Ok(None)
    }

    /// As [`super::LogReader::wait_for_more`].
    pub(super) fn wait_for_more(&mut self, running: impl FnOnce() -> bool) -> Result<bool, LogError> {
        let until_passed = self.query.until.is_some_and(|until| OffsetDateTime::now_utc() > until);
        if self.past_until || self.last_round {
            return Ok(false);
        }
        if until_passed || !running() {
            self.last_round = true;
        } else if let Some(watch) = &self.watch {
            watch.wait(LONGEST_WAIT);
        } else {
            // What happened before is not told: look once more first.
            self.watch = self.files.path().parent().map(Watch::new);
        }
        self.find_newer().map_err(|source| read_error(&self.files, source))?;
        Ok(true)
    }

    /// Opens what was begun after the current file. That one gets no more once it is not the newest any longer, and is
    /// read to its end before the others.
    fn find_newer(&mut self) -> io::Result<()> {
        if let Some(lines) = &self.current
            && snapshot::is_current(&self.files, lines.file())?
        {
            return Ok(());
        }
        let mut found = snapshot::open(&self.files)?;
        if let Some(lines) = &self.current {
            let identity = Identity::of(lines.file())?;
            for (index, file) in found.iter().enumerate() {
                if Identity::of(file)? == identity {
                    found.drain(..=index);
                    break;
                }
            }
        }
        self.newer.extend(found.into_iter().map(|file| Lines::new(file, 0)));
        Ok(())
    }
}

fn read_error(files: &LogFiles, source: io::Error) -> LogError {
    LogError::Read { path: files.path().to_owned(), source }
}

/// Where to begin in each file, the oldest first.
fn positions(files: Vec<File>, wanted: Tail) -> io::Result<VecDeque<Lines>> {
    let Tail::Last(mut wanted) = wanted else {
        return Ok(files.into_iter().map(|file| Lines::new(file, 0)).collect());
    };
    let mut lines = VecDeque::new();
    for file in files.into_iter().rev() {
        let start = tail::find(&file, wanted)?;
        lines.push_front(Lines::new(file, start.offset));
        wanted -= start.lines;
        if wanted == 0 {
            break;
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::super::encode::{Ending, StreamFields, Timestamp};
    use super::super::json_file::JsonFile;
    use super::*;
    use crate::container::settings::LogRotation;
    use holm_protocol::stream::StreamKind;
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn at(seconds: u32) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds.into()).unwrap()
    }

    fn log(dir: &Path, limits: LogRotation) -> JsonFile {
        JsonFile::open(dir.join("log"), limits).unwrap()
    }

    /// Each entry is its number, logged so many seconds after 1970.
    fn write(log: &mut JsonFile, numbers: impl IntoIterator<Item = u32>) {
        let fields = StreamFields::new(StreamKind::Stdout, &BTreeMap::new());
        for number in numbers {
            let ending = Ending::new(&fields, Timestamp::new(at(number)));
            log.push(format!("{number}\n").as_bytes(), &ending);
            log.write_out();
        }
    }

    /// About fifteen entries per file.
    const LIMITS: LogRotation = LogRotation { max_bytes: Some(1000), max_files: 4 };

    fn reader(dir: &Path, query: Query) -> FileReader {
        FileReader::open_files(LogFiles::new(dir.join("log"), LIMITS.max_files), query).unwrap()
    }

    fn read(reader: &mut FileReader) -> Vec<u32> {
        let mut numbers = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            numbers.push(entry.text.trim_end().parse().unwrap());
        }
        numbers
    }

    fn all(range: impl IntoIterator<Item = u32>) -> Vec<u32> {
        range.into_iter().collect()
    }

    #[test]
    fn rotated_files_are_read_in_order() {
        let dir = tempfile::tempdir().unwrap();
        write(&mut log(dir.path(), LIMITS), 0..50);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 4);
        assert_eq!(read(&mut reader(dir.path(), Query::default())), all(0..50));
    }

    #[test]
    fn the_tail_goes_back_through_rotated_files() {
        let dir = tempfile::tempdir().unwrap();
        write(&mut log(dir.path(), LIMITS), 0..40);
        for count in [0, 1, 5, 12, 13, 30, 40, 99] {
            let query = Query { tail: Tail::Last(count), ..Query::default() };
            let first = 40 - u32::try_from(count).unwrap().min(40);
            assert_eq!(read(&mut reader(dir.path(), query)), all(first..40), "{count}");
        }
    }

    #[test]
    fn entries_are_chosen_by_time_after_the_tail() {
        let dir = tempfile::tempdir().unwrap();
        write(&mut log(dir.path(), LIMITS), 0..40);
        let query = Query { since: Some(at(10)), until: Some(at(20)), tail: Tail::All };
        assert_eq!(read(&mut reader(dir.path(), query)), all(10..=20));
        let query = Query { since: Some(at(37)), until: None, tail: Tail::Last(5) };
        assert_eq!(read(&mut reader(dir.path(), query)), all(37..40));
    }

    #[test]
    fn no_files_are_an_empty_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut reader = reader(dir.path(), Query::default());
        assert_eq!(read(&mut reader), all([]));
        assert!(reader.wait_for_more(|| false).unwrap());
        assert_eq!(read(&mut reader), all([]));
        assert!(!reader.wait_for_more(|| true).unwrap());
    }

    #[test]
    fn damage_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        write(&mut log(dir.path(), LIMITS), [1]);
        let path = dir.path().join("log");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend_from_slice(b"{\"log\":\"torn");
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&mut reader(dir.path(), Query::default())), all([1]));
        write(&mut log(dir.path(), LIMITS), [2]);
        assert_eq!(read(&mut reader(dir.path(), Query::default())), all([1, 2]));
    }

    #[test]
    fn following_goes_on_in_the_files_that_rotation_begins() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path(), LIMITS);
        write(&mut log, 0..5);
        let mut reader = reader(dir.path(), Query { tail: Tail::Last(1), ..Query::default() });
        assert_eq!(read(&mut reader), all([4]));
        // The rest of the file that was current, two whole files and the beginning of a third.
        write(&mut log, 5..40);
        assert!(reader.wait_for_more(|| true).unwrap());
        assert_eq!(read(&mut reader), all(5..40));
        write(&mut log, 40..42);
        assert!(reader.wait_for_more(|| true).unwrap());
        assert_eq!(read(&mut reader), all(40..42));
        // What is written before it ends is read after it has.
        write(&mut log, 42..43);
        assert!(reader.wait_for_more(|| false).unwrap());
        assert_eq!(read(&mut reader), all(42..43));
        assert!(!reader.wait_for_more(|| true).unwrap());
    }

    #[test]
    fn following_one_file_that_is_replaced_sees_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let limits = LogRotation { max_files: 1, ..LIMITS };
        let mut log = log(dir.path(), limits);
        write(&mut log, 0..5);
        let mut reader =
            FileReader::open_files(LogFiles::new(dir.path().join("log"), 1), Query::default()).unwrap();
        assert_eq!(read(&mut reader), all(0..5));
        write(&mut log, 5..16);
        assert!(reader.wait_for_more(|| true).unwrap());
        assert_eq!(read(&mut reader), all(5..16));
    }

    #[test]
    fn following_ends_when_the_time_asked_for_has_passed() {
        let dir = tempfile::tempdir().unwrap();
        write(&mut log(dir.path(), LIMITS), 0..5);
        let mut reader = reader(dir.path(), Query { until: Some(at(9)), ..Query::default() });
        assert_eq!(read(&mut reader), all(0..5));
        assert!(reader.wait_for_more(|| true).unwrap());
        assert!(!reader.wait_for_more(|| true).unwrap());
    }

    #[test]
    fn a_reader_beside_a_busy_writer_misses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let limits = LogRotation { max_bytes: Some(20_000), max_files: 1000 };
        let mut log = log(dir.path(), limits);
        let running = AtomicBool::new(true);
        let files = LogFiles::new(dir.path().join("log"), limits.max_files);
        let mut reader = FileReader::open_files(files, Query::default()).unwrap();
        let numbers = std::thread::scope(|scope| {
            scope.spawn(|| {
                write(&mut log, 0..20_000);
                running.store(false, Ordering::Release);
            });
            let mut numbers = read(&mut reader);
            while reader.wait_for_more(|| running.load(Ordering::Acquire)).unwrap() {
                numbers.extend(read(&mut reader));
            }
            numbers
        });
        assert!(numbers == all(0..20_000));
    }
}
