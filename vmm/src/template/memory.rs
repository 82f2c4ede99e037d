//! The file of memory.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};

use sha2::{Digest, Sha256};

use super::page_map::{PageMap, PageState};
use super::{MemoryFile, Run};
use crate::memory::{self, Address, Bytes, GuestMemory, GuestMemoryRegion, GuestRam, PAGE_BYTES};

/// So many bytes of zeroes between two runs are written rather than mapped around: each run is a mapping of its own.
const SMALL_GAP_BYTES: u64 = 64 << 10;
/// Never closed: less than what lies between two regions of memory.
const MAX_GAP_BYTES: u64 = 64 << 20;
/// Linux's own limit of mappings is 65530.
const MAX_RUNS: usize = 16 << 10;
const PAGE: u64 = PAGE_BYTES as u64;
/// Read or written at a time.
pub(super) const CHUNK_BYTES: usize = 1 << 20;

/// Why memory cannot be saved or had back.
#[derive(Debug, thiserror::Error)]
pub enum MemoryFileError {
    /// Reading or writing failed.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the host said.
        #[source]
        source: io::Error,
    },
    /// The file is not as long as its runs, or they are not where memory is.
    #[error("the file of memory does not fit its description")]
    Shape,
    /// Some bit of it changed.
    #[error("the checksum of memory is wrong")]
    Checksum,
}

pub(super) fn failed(action: &'static str) -> impl Fn(io::Error) -> MemoryFileError {
    move |source| MemoryFileError::Io { action, source }
}

/// Writes all memory that is not zero. A file lies below `mapped` ([`map`]): there, what this process has never touched is not zero.
///
/// # Errors
/// The host refuses.
pub fn save(
    memory: &GuestRam,
    pages: &PageMap,
    mapped: &[Run],
    file: &File,
) -> Result<MemoryFile, MemoryFileError> {
    let mut output = BufWriter::with_capacity(CHUNK_BYTES, file);
    let mut sum = Sha256::new();
    let runs = fewer(runs(memory, pages, mapped)?, MAX_RUNS);
    let mut bytes = vec![0; CHUNK_BYTES];
    for run in &runs {
        let mut done = 0;
        while done < run.length_bytes {
            let count = usize::try_from(run.length_bytes - done).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            let Some(chunk) = bytes.get_mut(..count) else { break };
            let address = memory::GuestAddress(run.start + done);
            memory.read_slice(chunk, address).map_err(|_| MemoryFileError::Shape)?;
            output.write_all(chunk).map_err(failed("write memory"))?;
            sum.update(&*chunk);
            done += count as u64;
        }
    }
    output.flush().map_err(failed("write memory"))?;
    Ok(MemoryFile { runs, sha256: sum.finalize().into() })
}

/// Where memory is not zero, with small gaps closed.
fn runs(memory: &GuestRam, map: &PageMap, mapped: &[Run]) -> Result<Vec<Run>, MemoryFileError> {
    let mut runs: Vec<Run> = Vec::new();
    let mut mapped = mapped.iter().peekable();
    for region in memory.iter() {
        let guest = region.start_addr().raw_value();
        let first = region.as_ptr().addr() / PAGE_BYTES;
        let mut page = vec![0; PAGE_BYTES];
        let pages = usize::try_from(region.len() / PAGE).unwrap_or(0);
        for (index, held) in map.read(first, pages, PageState::is_held)?.into_iter().enumerate() {
            let start = guest + index as u64 * PAGE;
            while mapped.next_if(|run| run.start + run.length_bytes <= start).is_some() {}
            if !held && mapped.peek().is_none_or(|run| start < run.start) {
                continue;
            }
            memory.read_slice(&mut page, memory::GuestAddress(start)).map_err(|_| MemoryFileError::Shape)?;
            if page.iter().all(|byte| *byte == 0) {
                continue;
            }
            match runs.last_mut() {
                // A run stays in its region: those are apart by more than a small gap.
                Some(last) if start - (last.start + last.length_bytes) <= SMALL_GAP_BYTES => {
                    last.length_bytes = start + PAGE - last.start;
                }
                _ => runs.push(Run { start, length_bytes: PAGE }),
            }
        }
    }
    Ok(runs)
}

/// Closes larger gaps, until there are at most `most` runs.
fn fewer(mut runs: Vec<Run>, most: usize) -> Vec<Run> {
    let mut gap_bytes = SMALL_GAP_BYTES;
    while runs.len() > most {
        gap_bytes = gap_bytes.saturating_mul(2);
        runs.dedup_by(|next, last| {
            // Regions are as far apart as the gap below 4 GiB is wide: runs of two never become one.
            let is_near = next.start - (last.start + last.length_bytes) <= gap_bytes.min(MAX_GAP_BYTES);
            if is_near {
                last.length_bytes = next.start + next.length_bytes - last.start;
            }
            is_near
        });
        if gap_bytes > MAX_GAP_BYTES {
            break;
        }
    }
    runs
}

/// Puts the file under memory that nobody has touched yet, copy-on-write.
///
/// # Errors
/// The file is not what `described` says, or the host refuses.
pub fn map(memory: &GuestRam, file: &File, described: &MemoryFile) -> Result<(), MemoryFileError> {
    let length = file.metadata().map_err(failed("look at the file of memory"))?.len();
    // What lies beyond the end of a file cannot be touched without being killed.
    if described.length_bytes() != Some(length) || described.runs.len() > MAX_RUNS {
        return Err(MemoryFileError::Shape);
    }
    let mut offset = 0;
    for run in &described.runs {
        if run.start % PAGE != 0 || run.length_bytes % PAGE != 0 || run.length_bytes == 0 {
            return Err(MemoryFileError::Shape);
        }
        memory::map_file(memory, memory::GuestAddress(run.start), run.length_bytes, file, offset)
            .map_err(failed("map memory"))?;
        offset += run.length_bytes;
    }
    Ok(())
}

/// Reads the whole file and compares its checksum.
///
/// # Errors
/// It is another, or the file cannot be read.
pub fn verify(mut file: &File, described: &MemoryFile) -> Result<(), MemoryFileError> {
    let mut sum = Sha256::new();
    let mut bytes = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut bytes).map_err(failed("read the file of memory"))? {
            0 => break,
            count => sum.update(bytes.get(..count).unwrap_or_default()),
        }
    }
    if sum.finalize() == described.sha256 { Ok(()) } else { Err(MemoryFileError::Checksum) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::memory::GuestAddress;

    const FAR: u64 = 32 << 20;

    fn saved() -> (File, MemoryFile) {
        let memory = memory::allocate(64).unwrap();
        memory.write_slice(b"one", GuestAddress(0x1ffe)).unwrap();
        memory.write_slice(b"two", GuestAddress(0x8000)).unwrap();
        memory.write_slice(&[0; 100], GuestAddress(0x9000)).unwrap();
        memory.write_slice(b"three", GuestAddress(FAR + 4093)).unwrap();
        let file = tempfile::tempfile().unwrap();
        let described = save(&memory, &PageMap::open().unwrap(), &[], &file).unwrap();
        (file, described)
    }

    #[test]
    fn memory_comes_back_and_what_is_written_stays_out_of_the_file() {
        use std::io::Seek;
        let (mut file, described) = saved();
        let runs: Vec<_> = described.runs.iter().map(|run| (run.start, run.length_bytes)).collect();
        assert_eq!(runs, [(0x1000, 0x8000), (FAR, 0x2000)]);
        for _ in 0..2 {
            let memory = memory::allocate(64).unwrap();
            map(&memory, &file, &described).unwrap();
            let mut found = [0; 5];
            memory.read_slice(&mut found[..3], GuestAddress(0x1ffe)).unwrap();
            assert_eq!(&found[..3], b"one");
            memory.read_slice(&mut found, GuestAddress(FAR + 4093)).unwrap();
            assert_eq!(&found, b"three");
            memory.write_slice(&[0xff; 0x8000], GuestAddress(0x1000)).unwrap();
        }
        file.rewind().unwrap();
        verify(&file, &described).unwrap();
    }

    #[test]
    fn what_lies_in_a_file_and_was_never_touched_is_saved_again() {
        let (file, described) = saved();
        let memory = memory::allocate(64).unwrap();
        map(&memory, &file, &described).unwrap();
        memory.write_slice(b"four", GuestAddress(FAR * 3 / 2)).unwrap();
        let again = tempfile::tempfile().unwrap();
        let described = save(&memory, &PageMap::open().unwrap(), &described.runs, &again).unwrap();
        let other = memory::allocate(64).unwrap();
        map(&other, &again, &described).unwrap();
        for (text, address) in
            [(&b"one"[..], 0x1ffe), (b"two", 0x8000), (b"three", FAR + 4093), (b"four", FAR * 3 / 2)]
        {
            let mut found = vec![0; text.len()];
            other.read_slice(&mut found, GuestAddress(address)).unwrap();
            assert_eq!(found, text);
        }
    }

    #[test]
    fn too_many_runs_become_fewer_over_larger_gaps() {
        let run = |index: u64| Run { start: index * (1 << 20), length_bytes: PAGE };
        let runs: Vec<Run> = (0..64).map(run).collect();
        assert_eq!(fewer(runs.clone(), 64), runs);
        assert_eq!(fewer(runs, 10), [Run { start: 0, length_bytes: (63 << 20) + PAGE }]);
        let apart = [Run { start: 0, length_bytes: PAGE }, Run { start: 1 << 32, length_bytes: PAGE }];
        assert_eq!(fewer(apart.to_vec(), 1), apart, "never over the gap between regions");
    }

    #[test]
    fn a_file_of_another_length_or_content_is_refused() {
        use std::io::Seek;
        let (mut file, described) = saved();
        file.write_all_at(b"x", 77).unwrap();
        file.rewind().unwrap();
        assert!(matches!(verify(&file, &described), Err(MemoryFileError::Checksum)));
        file.set_len(0x9000).unwrap();
        let memory = memory::allocate(64).unwrap();
        assert!(matches!(map(&memory, &file, &described), Err(MemoryFileError::Shape)));
    }

    #[test]
    fn runs_outside_memory_are_refused() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(0x1000).unwrap();
        let memory = memory::allocate(64).unwrap();
        for (start, length_bytes) in
            [(64 << 20, 0x1000), (u64::MAX - 0xfff, 0x1000), (0x10, 0x1000), (0, 0x1000)]
        {
            let described = MemoryFile { runs: vec![Run { start, length_bytes }], sha256: [0; 32] };
            assert_eq!(map(&memory, &file, &described).is_ok(), start == 0, "{start:#x}");
        }
        let huge = [u64::MAX, 2].map(|length_bytes| Run { start: 0, length_bytes });
        let described = MemoryFile { runs: huge.to_vec(), sha256: [0; 32] };
        assert!(matches!(map(&memory, &file, &described), Err(MemoryFileError::Shape)));
    }
}
