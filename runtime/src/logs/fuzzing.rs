//! What the fuzz targets call: readers without a container.

use std::path::PathBuf;

use super::file_reader::FileReader;
use super::files::LogFiles;
use super::{Entry, LogError, Query, journal_reader};

/// All entries that are asked for, of the files of a log.
///
/// # Errors
/// They cannot be read.
pub fn entries(path: PathBuf, max_files: u32, query: Query) -> Result<Vec<Entry>, LogError> {
    let mut reader = FileReader::open_files(LogFiles::new(path, max_files), query)?;
    std::iter::from_fn(|| reader.next_entry().transpose()).collect()
}

/// The entry that a line of journalctl's is.
#[must_use]
pub fn journal_entry(line: &[u8]) -> Option<Entry> {
    journal_reader::parse(line).map(|(_, entry)| entry)
}
