//! Reading the journal, and waiting for more.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use super::journal::same_file;
use super::{Event, Journal};
use crate::host::{DirectoriesError, Watch, create_private_directory};

/// A longer line is none of ours.
const MAX_LINE_BYTES: usize = 1 << 20;
const BUFFER_BYTES: usize = 64 << 10;

/// Reads events in their order, across renamed journals. Lines that are no events are skipped.
#[derive(Debug)]
pub struct EventReader {
    journal: Journal,
    watch: Watch,
    /// The file that is read; `None` before there is any.
    file: Option<File>,
    /// What was read of it and not looked at.
    buffer: Vec<u8>,
    /// Where the next line in the buffer begins.
    position: usize,
}

/// The journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Its directory cannot be made.
    #[error(transparent)]
    Directory(#[from] DirectoriesError),
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl EventReader {
    /// Begins with the oldest event that there is.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn from_start(journal: Journal) -> Result<Self, ReadError> {
        let mut reader = Self::new(journal)?;
        reader.file = reader.open(reader.journal.previous())?;
        Ok(reader)
    }

    /// Begins with what happens from now on.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn from_now(journal: Journal) -> Result<Self, ReadError> {
        let mut reader = Self::new(journal)?;
        reader.file = reader.open(reader.journal.current())?;
        if let Some(file) = &mut reader.file {
            let path = reader.journal.current();
            file.seek(SeekFrom::End(0)).map_err(|source| ReadError::Read { path, source })?;
        }
        Ok(reader)
    }

    fn new(journal: Journal) -> Result<Self, ReadError> {
        // To be watched, it must be there.
        create_private_directory(journal.directory())?;
        let watch = Watch::new(journal.directory());
        Ok(Self { journal, watch, file: None, buffer: Vec::new(), position: 0 })
    }

    /// The next event; `None` when there is none yet.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn next_event(&mut self) -> Result<Option<Event>, ReadError> {
        loop {
            while let Some(line) = self.next_line() {
                if let Ok(event) = serde_json::from_slice(&line) {
                    return Ok(Some(event));
                }
            }
            if self.fill()? == 0 && !self.go_on()? {
                return Ok(None);
            }
        }
    }

    /// Waits until something may have happened, at most so long.
    pub fn wait(&self, longest: Duration) {
        self.watch.wait(longest);
    }

    fn next_line(&mut self) -> Option<Vec<u8>> {
        let rest = self.buffer.get(self.position..)?;
        let length = rest.iter().position(|byte| *byte == b'\n')?;
        let line = rest.get(..length)?.to_vec();
        self.position += length + 1;
        Some(line)
    }

    /// Reads more of the file; the number of bytes.
    fn fill(&mut self) -> Result<usize, ReadError> {
        self.buffer.drain(..self.position.min(self.buffer.len()));
        self.position = 0;
        if self.buffer.len() > MAX_LINE_BYTES {
            self.buffer.clear();
        }
        let Some(file) = &mut self.file else { return Ok(0) };
        let before = self.buffer.len();
        let path = self.journal.current();
        let read = file.take(BUFFER_BYTES as u64).read_to_end(&mut self.buffer);
        read.map_err(|source| ReadError::Read { path, source })?;
        Ok(self.buffer.len() - before)
    }

    /// At the end of a file: goes on with the one after it, if there is one.
    fn go_on(&mut self) -> Result<bool, ReadError> {
        let path = self.journal.current();
        let is_current = match (&self.file, fs::metadata(&path)) {
            (Some(file), Ok(current)) => file.metadata().is_ok_and(|own| same_file(&own, &current)),
            (None, Ok(_)) => false,
            // Renamed, and nothing was written since.
            (_, Err(_)) => true,
        };
        if is_current {
            return Ok(false);
        }
        // Somebody who opened it before it was renamed may have written since we looked.
        if self.fill()? > 0 {
            return Ok(true);
        }
        self.buffer.clear();
        self.file = self.open(path)?;
        Ok(self.file.is_some())
    }

    fn open(&self, path: PathBuf) -> Result<Option<File>, ReadError> {
        match File::open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ReadError::Read { path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::thread;

    use super::super::Kind;
    use super::*;

    fn event(number: u32) -> Event {
        let attributes = [("name".to_owned(), number.to_string()), ("image".to_owned(), "app".to_owned())];
        Event::now(Kind::Container, "start", "1234", attributes.into())
    }

    fn numbers(reader: &mut EventReader) -> Vec<String> {
        let next = || reader.next_event().unwrap();
        std::iter::from_fn(next).map(|event| event.actor.attributes["name"].clone()).collect()
    }

    #[test]
    fn events_have_dockers_names() {
        let json = serde_json::to_value(event(1)).unwrap();
        assert_eq!(json["Actor"]["Attributes"]["name"], "1");
        assert_eq!(json["Actor"]["ID"], "1234");
        for (name, value) in
            [("Type", "container"), ("Action", "start"), ("status", "start"), ("from", "app")]
        {
            assert_eq!(json[name], value);
        }
        assert_eq!(json["time"].as_i64().unwrap(), json["timeNano"].as_i64().unwrap() / 1_000_000_000);
    }

    #[test]
    fn a_reader_follows_across_renamed_journals() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::of(dir.path());
        let mut early = EventReader::from_now(journal.clone()).unwrap();
        journal.append(&event(0), 1000).unwrap();
        let mut late = EventReader::from_now(journal.clone()).unwrap();
        assert_eq!(numbers(&mut early), ["0"]);
        for number in 1..10 {
            journal.append(&event(number), 1000).unwrap();
            assert_eq!(numbers(&mut early), [number.to_string()]);
            assert_eq!(numbers(&mut late), [number.to_string()]);
        }
        let bytes: u64 = fs::read_dir(dir.path().join("events"))
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!(bytes < 3000, "{bytes}");
        let all = numbers(&mut EventReader::from_start(journal).unwrap());
        assert!(all.len() >= 3 && all.ends_with(&["8".to_owned(), "9".to_owned()]), "{all:?}");
    }

    #[test]
    fn many_writers_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::of(dir.path());
        thread::scope(|scope| {
            for writer in 0..4 {
                let journal = &journal;
                scope.spawn(move || (0..50).for_each(|n| journal.note(&event(writer * 100 + n))));
            }
        });
        assert_eq!(numbers(&mut EventReader::from_start(journal).unwrap()).len(), 200);
    }

    #[test]
    fn a_line_that_was_cut_short_takes_no_other_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::of(dir.path());
        journal.note(&event(1));
        File::options().append(true).open(journal.current()).unwrap().write_all(b"{\"Type\":").unwrap();
        journal.note(&event(2));
        assert_eq!(numbers(&mut EventReader::from_start(journal).unwrap()), ["1", "2"]);
    }

    #[test]
    fn an_images_endless_labels_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::of(dir.path());
        let mut long = event(1);
        long.actor.attributes.insert("label".into(), "x".repeat(1 << 20));
        journal.note(&long);
        assert!(fs::metadata(journal.current()).unwrap().len() < 1000);
        assert_eq!(numbers(&mut EventReader::from_start(journal).unwrap()), ["1"]);
    }

    #[test]
    fn a_journal_that_cannot_be_written_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("events"), "no directory").unwrap();
        Journal::of(dir.path()).note(&event(1));
    }
}
