//! Reads a log and follows it while it grows, wherever its driver keeps it.

use super::entry::Entry;
use super::error::LogError;
use super::file_reader::FileReader;
use super::journal_reader::JournalReader;
use super::query::Query;
use crate::container::Container;
use crate::container::settings::LogDriver;

/// A position in a log.
///
/// ```
/// use holm_runtime::container::Container;
/// use holm_runtime::logs::{LogError, LogReader, Query};
///
/// fn follow(container: &Container, still_running: impl Fn() -> bool) -> Result<(), LogError> {
///     let mut log = LogReader::open(container, Query::default())?;
///     loop {
///         while let Some(entry) = log.next_entry()? {
///             print!("{}", entry.text);
///         }
///         if !log.wait_for_more(&still_running)? {
///             return Ok(());
///         }
///     }
/// }
/// ```
#[derive(Debug)]
pub struct LogReader(Place);

#[derive(Debug)]
enum Place {
    Files(Box<FileReader>),
    Journal(Box<JournalReader>),
}

impl LogReader {
    /// Begins where `query` says.
    ///
    /// # Errors
    /// When the container's driver keeps nothing that can be read, or what it keeps cannot be.
    pub fn open(container: &Container, query: Query) -> Result<Self, LogError> {
        Ok(Self(match container.record.settings.log_config.driver() {
            LogDriver::JsonFile => Place::Files(Box::new(FileReader::open(container, query)?)),
            LogDriver::Journald => Place::Journal(Box::new(JournalReader::open(container, query)?)),
            LogDriver::None => return Err(LogError::Unreadable),
        }))
    }

    /// The next entry that was asked for, or `None` when there is none at the moment.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, LogError> {
        match &mut self.0 {
            Place::Files(reader) => reader.next_entry(),
            Place::Journal(reader) => reader.next_entry(),
        }
    }

    /// After [`Self::next_entry`] gave `None`: waits until it may give more, at most half a second, and says whether to
    /// ask it again. False when all that was asked for is read: `running`, which says whether anybody may still write to
    /// the log, said no before the last entries were read; or no later entry can be as old as was asked for.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn wait_for_more(&mut self, running: impl FnOnce() -> bool) -> Result<bool, LogError> {
        match &mut self.0 {
            Place::Files(reader) => reader.wait_for_more(running),
            Place::Journal(reader) => reader.wait_for_more(running),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::log::tests::container;
    use super::*;

    #[test]
    fn what_no_driver_keeps_cannot_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let container = container(dir.path(), LogDriver::None, &[]);
        assert!(matches!(LogReader::open(&container, Query::default()), Err(LogError::Unreadable)));
    }
}
