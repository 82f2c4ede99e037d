//! What the kernel knows of this process's pages (Linux Documentation/admin-guide/mm/pagemap.rst).

use std::fs::File;
use std::io::{self, IoSliceMut};

use rustix::io::{preadv, retry_on_intr};

use super::memory::{CHUNK_BYTES, MemoryFileError, failed};

/// What it tells of each page.
const ENTRY_BYTES: usize = 8;
/// The page is in memory, or in swap.
const HELD: u64 = 3 << 62;
/// It is a file's, and not this process's own.
const OF_FILE: u64 = 1 << 61;

/// The map of this process's pages. Opened before the process confines itself.
#[derive(Debug)]
pub struct PageMap(File);

/// One page.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageState(u64);

impl PageState {
    /// Whether there is anything: asking for the content of another page would fill it.
    pub(super) const fn is_held(self) -> bool {
        self.0 & HELD != 0
    }

    /// Whether it was written to, where a file is mapped copy-on-write.
    pub(super) const fn is_copy(self) -> bool {
        self.is_held() && self.0 & OF_FILE == 0
    }
}

impl PageMap {
    /// Opens the map.
    ///
    /// # Errors
    /// There is no /proc, or no such map in it.
    pub fn open() -> Result<Self, MemoryFileError> {
        File::open("/proc/self/pagemap").map(Self).map_err(failed("open the map of pages"))
    }

    /// Which of so many pages are such, from the page of the number `first` on.
    pub(super) fn read(
        &self,
        first: usize,
        pages: usize,
        are_such: fn(PageState) -> bool,
    ) -> Result<Vec<bool>, MemoryFileError> {
        let mut such = Vec::with_capacity(pages);
        let mut bytes = vec![0; CHUNK_BYTES];
        while such.len() < pages {
            let count = (pages - such.len()).min(CHUNK_BYTES / ENTRY_BYTES) * ENTRY_BYTES;
            let Some(chunk) = bytes.get_mut(..count) else { break };
            let offset = (first + such.len()) * ENTRY_BYTES;
            // As disks are read: one call of the system that the filter lets through, not two.
            let read = retry_on_intr(|| preadv(&self.0, &mut [IoSliceMut::new(chunk)], offset as u64));
            let read = read.map_err(|errno| failed("read the map of pages")(errno.into()))?;
            let entries = chunk.get(..read).unwrap_or_default().as_chunks::<ENTRY_BYTES>().0.iter();
            if entries.len() == 0 {
                return Err(failed("read the map of pages")(io::ErrorKind::UnexpectedEof.into()));
            }
            such.extend(entries.map(|entry| are_such(PageState(u64::from_le_bytes(*entry)))));
        }
        Ok(such)
    }
}
