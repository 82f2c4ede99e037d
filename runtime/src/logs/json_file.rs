//! The json-file driver: appends entries to the current file and rotates it.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

use holm_protocol::stream::StreamKind;
use nix::fcntl::OFlag;
use time::OffsetDateTime;

use super::backlog::Backlog;
use super::encode::{Ending, StreamFields, Timestamp, encode};
use super::files::LogFiles;
use super::rotate::rotate;
use crate::container::settings::LogRotation;

/// How much is written at a time, about.
const WRITE_BYTES: usize = 128 << 10;

/// A log that is being written.
#[derive(Debug)]
pub(super) struct JsonFile {
    files: LogFiles,
    max_bytes: Option<u64>,
    /// None before the first entry after a rotation or a failure.
    current: Option<Current>,
    backlog: Backlog,
    /// Bytes that were taken since the last attempt to write.
    taken_bytes: usize,
    /// Since the last time that writing worked.
    failure: Option<String>,
}

#[derive(Debug)]
struct Current {
    file: File,
    size_bytes: u64,
}

impl JsonFile {
    /// Opens or makes the current file; entries are appended to what is there.
    pub(super) fn open(path: PathBuf, limits: LogRotation) -> io::Result<Self> {
        let files = LogFiles::new(path, limits.max_files);
        let current = Some(Current::open(&files)?);
        Ok(Self {
            files,
            max_bytes: limits.max_bytes,
            current,
            backlog: Backlog::default(),
            taken_bytes: 0,
            failure: None,
        })
    }

    /// Takes an entry. It is written by [`Self::write_out`], or together with later ones once they are many: a byte of
    /// output may become eighty, an empty line's.
    pub(super) fn push(&mut self, text: &[u8], ending: &Ending) {
        self.taken_bytes += self.backlog.push(|out| encode(out, text, ending));
        if self.taken_bytes >= WRITE_BYTES {
            self.write_out();
        }
    }

    /// Writes what was taken. A failure is told once and tried again at the next call.
    pub(super) fn write_out(&mut self) {
        self.taken_bytes = 0;
        let written = self.write_backlog().and_then(|()| self.tell_losses());
        match (written, &self.failure) {
            (Ok(()), Some(_)) => {
                tracing::info!(log = %self.files.path().display(), "the container's log can be written again");
                self.failure = None;
            }
            (Err(error), None) => {
                tracing::warn!(log = %self.files.path().display(), %error, "cannot write the container's log");
                self.failure = Some(error.to_string());
            }
            (Ok(()), None) | (Err(_), Some(_)) => {}
        }
        self.backlog.shrink();
    }

    /// Whether the last attempt to write failed.
    pub(super) fn failing(&self) -> bool {
        self.failure.is_some()
    }

    fn write_backlog(&mut self) -> io::Result<()> {
        while !self.backlog.is_empty() {
            let limit = self.max_bytes.unwrap_or(u64::MAX);
            if self.current.as_ref().is_some_and(|current| current.size_bytes >= limit) {
                self.current = None;
                rotate(&self.files)?;
            }
            let mut current = match self.current.take() {
                Some(current) => current,
                None => Current::open(&self.files)?,
            };
            if current.size_bytes >= limit {
                // Found full: a rotation was interrupted, or the limit was lowered.
                self.current = Some(current);
                continue;
            }
            let (written, result) =
                write_some(&mut current.file, self.backlog.front(limit - current.size_bytes));
            current.size_bytes += self.backlog.forget(written) as u64;
            if let Err(error) = result {
                // Cuts off the part of an entry. Where that fails, opening the file again puts a newline after it.
                let _ = current.file.set_len(current.size_bytes);
                return Err(error);
            }
            self.current = Some(current);
        }
        Ok(())
    }

    /// Once everything that was kept is written: an entry in the place of those that were not.
    fn tell_losses(&mut self) -> io::Result<()> {
        let lost = self.backlog.take_lost();
        if lost == 0 {
            return Ok(());
        }
        let reason = self.failure.as_deref().unwrap_or("the log could not be written");
        let text = losses(lost, reason);
        let fields = StreamFields::new(StreamKind::Stderr, &BTreeMap::new());
        let ending = Ending::new(&fields, Timestamp::new(OffsetDateTime::now_utc()));
        self.backlog.push(|out| encode(out, text.as_bytes(), &ending));
        self.write_backlog()
    }
}

/// What the log says in the place of what it lacks.
pub(super) fn losses(lost: u64, reason: &str) -> String {
    format!("holm: {lost} lines of the container's output are missing here: {reason}\n")
}

impl Drop for JsonFile {
    fn drop(&mut self) {
        if !self.backlog.is_empty() || self.backlog.lost() > 0 {
            self.write_out();
        }
        let lines = self.backlog.len() as u64 + self.backlog.lost();
        if lines > 0 {
            tracing::warn!(log = %self.files.path().display(), lines, "the end of the container's log is lost");
        }
    }
}

impl Current {
    fn open(files: &LogFiles) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(files.path())?;
        let mut size_bytes = file.metadata()?.len();
        let mut last = [b'\n'];
        if size_bytes > 0 {
            file.read_exact_at(&mut last, size_bytes - 1)?;
        }
        if last != [b'\n'] {
            // A crash tore the last entry; the next one must not become part of it.
            file.write_all(b"\n")?;
            size_bytes += 1;
        }
        Ok(Self { file, size_bytes })
    }
}

/// How much was written, and what ended that.
fn write_some(file: &mut impl Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(length) => written += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

#[cfg(test)]
mod tests {
    use super::super::backlog::MAX_BACKLOG_BYTES;
    use super::*;
    use std::fs;
    use std::path::Path;

    const LIMITS: LogRotation = LogRotation { max_bytes: Some(1000), max_files: 3 };

    fn write(log: &mut JsonFile, text: &str) {
        let fields = StreamFields::new(StreamKind::Stdout, &BTreeMap::new());
        log.push(text.as_bytes(), &Ending::new(&fields, Timestamp::new(OffsetDateTime::UNIX_EPOCH)));
    }

    fn texts(path: &Path) -> Vec<String> {
        let lines = fs::read_to_string(path).unwrap_or_default();
        lines
            .lines()
            .filter_map(|line| {
                let value: serde_json::Value = serde_json::from_str(line).ok()?;
                Some(value["log"].as_str()?.to_owned())
            })
            .collect()
    }

    #[test]
    fn a_file_that_is_full_is_rotated_before_the_next_entry() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let entry_bytes = {
            let mut log = JsonFile::open(path.clone(), LIMITS).unwrap();
            write(&mut log, "00\n");
            log.write_out();
            fs::metadata(&path).unwrap().len()
        };
        let per_file = 1000_u64.div_ceil(entry_bytes);
        // Whether entries come one by one or all at once, the files are the same.
        for batch in [1, 100] {
            fs::remove_file(&path).unwrap();
            let mut log = JsonFile::open(path.clone(), LIMITS).unwrap();
            for number in 0..4 * per_file + 1 {
                write(&mut log, &format!("{number:02}\n"));
                if (number + 1) % batch == 0 {
                    log.write_out();
                }
            }
            log.write_out();
            assert_eq!(texts(&path), [format!("{:02}\n", 4 * per_file)]);
            let first = texts(&dir.path().join("log.1"));
            assert_eq!((first.len() as u64, &first[0]), (per_file, &format!("{:02}\n", 3 * per_file)));
            assert_eq!(texts(&dir.path().join("log.2"))[0], format!("{:02}\n", 2 * per_file));
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
        }
    }

    #[test]
    fn a_file_that_is_exactly_full_waits_for_the_next_entry() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = JsonFile::open(path.clone(), LogRotation { max_bytes: None, max_files: 2 }).unwrap();
        write(&mut log, "a\n");
        log.write_out();
        drop(log);
        let max_bytes = Some(fs::metadata(&path).unwrap().len());
        let mut log = JsonFile::open(path.clone(), LogRotation { max_bytes, max_files: 2 }).unwrap();
        log.write_out();
        assert!(!dir.path().join("log.1").exists());
        write(&mut log, "b\n");
        log.write_out();
        assert_eq!(
            (texts(&path), texts(&dir.path().join("log.1"))),
            (vec!["b\n".into()], vec!["a\n".into()])
        );
    }

    #[test]
    fn an_entry_that_a_crash_tore_stays_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "{\"log\":\"to").unwrap();
        let mut log = JsonFile::open(path.clone(), LIMITS).unwrap();
        write(&mut log, "whole\n");
        log.write_out();
        assert_eq!(texts(&path), ["whole\n"]);
    }

    /// A directory in the place of the file cannot be written, until it is removed.
    fn broken(dir: &Path) -> (PathBuf, JsonFile) {
        let path = dir.join("log");
        let mut log = JsonFile::open(path.clone(), LogRotation { max_bytes: None, max_files: 2 }).unwrap();
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        log.current = None;
        (path, log)
    }

    #[test]
    fn what_cannot_be_written_now_is_written_later() {
        let dir = tempfile::tempdir().unwrap();
        let (path, mut log) = broken(dir.path());
        for text in ["a\n", "b\n"] {
            write(&mut log, text);
            log.write_out();
            assert!(log.failing());
        }
        fs::remove_dir(&path).unwrap();
        write(&mut log, "c\n");
        log.write_out();
        assert!(!log.failing());
        assert_eq!(texts(&path), ["a\n", "b\n", "c\n"]);
    }

    #[test]
    fn what_waits_is_bounded_and_the_rest_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let (path, mut log) = broken(dir.path());
        let text = "x".repeat(10_000);
        for _ in 0..200 {
            write(&mut log, &text);
            log.write_out();
        }
        let kept = log.backlog.len();
        assert!(kept * text.len() <= MAX_BACKLOG_BYTES);
        fs::remove_dir(&path).unwrap();
        log.write_out();
        write(&mut log, "after\n");
        log.write_out();
        let texts = texts(&path);
        assert_eq!(texts.len(), kept + 2);
        let notice =
            format!("holm: {} lines of the container's output are missing here: Is a directory", 200 - kept);
        assert!(texts[kept].starts_with(&notice), "{}", texts[kept]);
        assert_eq!(texts[kept + 1], "after\n");
    }

    #[test]
    fn what_is_many_is_written_before_it_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = JsonFile::open(path.clone(), LogRotation { max_bytes: None, max_files: 2 }).unwrap();
        for _ in 0..100_000 {
            write(&mut log, "\n");
            assert!(log.backlog.waiting_bytes() < WRITE_BYTES);
        }
        drop(log);
        assert_eq!(texts(&path).len(), 100_000);
    }

    #[test]
    fn a_full_disk_is_survived() {
        let mut log =
            JsonFile::open("/dev/full".into(), LogRotation { max_bytes: None, max_files: 1 }).unwrap();
        for _ in 0..1000 {
            write(&mut log, &"x".repeat(5000));
            log.write_out();
        }
        assert!(log.failure.as_deref().unwrap().starts_with("No space left on device"));
        assert!(log.backlog.lost() > 0 && log.backlog.len() as u64 + log.backlog.lost() == 1000);
    }

    #[test]
    fn a_write_that_stops_half_way_is_known_to_the_byte() {
        struct Full(usize);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let taken = bytes.len().min(self.0).min(3);
                self.0 -= taken;
                if taken == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (written, result) = write_some(&mut Full(7), b"0123456789");
        assert_eq!((written, result.unwrap_err().kind()), (7, io::ErrorKind::StorageFull));
        assert!(matches!(write_some(&mut Full(99), b"0123456789"), (10, Ok(()))));
    }
}
