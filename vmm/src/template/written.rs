//! What guests of one template write to soon. All of them do much the same until their workload runs, so one is asked, and those
//! after it have the pages copied ahead, by a thread beside the making of the VM: a page that a guest reads before it writes to it costs
//! two nested page faults, a page that is a copy already costs one.

use std::io;
use std::thread::JoinHandle;

use holm_protocol::vm_config::{MAX_WRITTEN_PAGES, MAX_WRITTEN_RUNS, PageRun};

use super::Run;
use super::memory::MemoryFileError;
use super::page_map::{PageMap, PageState};
use crate::memory::{self, GuestAddress, GuestMemory, GuestRam, PAGE_BYTES};

const PAGE: u64 = PAGE_BYTES as u64;

/// Which pages over the file that is `mapped` the guest has written to, the longest runs of them.
///
/// # Errors
/// The host does not tell.
pub fn written(memory: &GuestRam, pages: &PageMap, mapped: &[Run]) -> Result<Vec<PageRun>, MemoryFileError> {
    let mut found: Vec<PageRun> = Vec::new();
    for run in mapped {
        let host = memory.get_host_address(GuestAddress(run.start)).map_err(|_| MemoryFileError::Shape)?;
        let count = usize::try_from(run.length_bytes / PAGE).unwrap_or(0);
        let copies = pages.read(host.addr() / PAGE_BYTES, count, PageState::is_copy)?;
        for (page, _) in (run.start / PAGE..).zip(copies).filter(|(_, is_copy)| *is_copy) {
            match found.last_mut() {
                Some(last) if last.0 + u64::from(last.1) == page => last.1 += 1,
                _ => found.push(PageRun(page, 1)),
            }
        }
    }
    Ok(longest(found))
}

/// As many as are allowed.
fn longest(mut runs: Vec<PageRun>) -> Vec<PageRun> {
    runs.sort_by_key(|run| std::cmp::Reverse(run.1));
    runs.truncate(MAX_WRITTEN_RUNS);
    let mut left = u32::try_from(MAX_WRITTEN_PAGES).unwrap_or(u32::MAX);
    runs.retain_mut(|run| {
        run.1 = run.1.min(left);
        left -= run.1;
        run.1 > 0
    });
    runs.sort_by_key(|run| run.0);
    runs
}

/// Copies these pages in a thread of their own. What cannot be copied ahead is when the guest writes to it.
///
/// # Errors
/// The host has no thread for it.
pub fn copy_ahead(memory: &GuestRam, written: &[PageRun]) -> io::Result<JoinHandle<()>> {
    let (memory, written) = (memory.clone(), written.to_vec());
    crate::thread::spawn("copy-ahead".to_owned(), None, move || {
        let copy = |run: &PageRun| {
            let start = GuestAddress(run.0.saturating_mul(PAGE));
            memory::copy_ahead(&memory, start, u64::from(run.1) * PAGE)
        };
        if let Err(error) = written.iter().try_for_each(copy) {
            tracing::debug!(%error, "what guests write to is not copied ahead");
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Bytes, allocate};
    use crate::template::MemoryFile;

    #[test]
    fn what_one_guest_wrote_to_is_copied_ahead_for_the_next() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(64 * PAGE).unwrap();
        let mapped = [Run { start: 0x10_0000, length_bytes: 64 * PAGE }];
        let described = MemoryFile { runs: mapped.to_vec(), sha256: [0; 32] };
        let restored = || {
            let memory = allocate(64).unwrap();
            crate::template::map(&memory, &file, &described).unwrap();
            memory
        };
        let pages = PageMap::open().unwrap();
        let first = restored();
        first.read_obj::<u8>(GuestAddress(0x10_9000)).unwrap();
        for page in [2, 3, 7] {
            first.write_obj(1_u8, GuestAddress(0x10_0000 + page * PAGE)).unwrap();
        }
        // Beside the file, where memory is not copied but made.
        first.write_obj(1_u8, GuestAddress(0x20_0000)).unwrap();
        let found = written(&first, &pages, &mapped).unwrap();
        assert_eq!(found, [PageRun(0x102, 2), PageRun(0x107, 1)]);

        let second = restored();
        assert_eq!(written(&second, &pages, &mapped).unwrap(), []);
        copy_ahead(&second, &found).unwrap().join().unwrap();
        assert_eq!(written(&second, &pages, &mapped).unwrap(), found);
        assert_eq!(
            second.read_obj::<u8>(GuestAddress(0x10_2000)).unwrap(),
            0,
            "the file's, not the first guest's"
        );
    }

    #[test]
    fn the_longest_runs_are_kept() {
        let runs = (0..600).map(|index| PageRun(index * 100, if index == 599 { 9 } else { 1 })).collect();
        let kept = longest(runs);
        assert_eq!((kept.len(), kept.last()), (MAX_WRITTEN_RUNS, Some(&PageRun(59900, 9))));
        assert_eq!(
            longest(vec![PageRun(0, 4000), PageRun(5000, 3000)]),
            [PageRun(0, 4000), PageRun(5000, 96)]
        );
    }

    #[test]
    fn pages_outside_memory_are_passed_over() {
        let memory = allocate(64).unwrap();
        for run in [PageRun(u64::MAX, 1), PageRun(16 << 10, u32::MAX), PageRun(0, 0)] {
            copy_ahead(&memory, &[run]).unwrap().join().unwrap();
        }
    }
}
