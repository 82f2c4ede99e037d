//! Encoded entries on their way to a file, in order. Bounded: what finds no room is counted.

/// How many bytes of entries wait at most while writing fails. A single chunk of output is taken whole.
pub const MAX_BACKLOG_BYTES: usize = 1 << 20;

/// Entries, each with its end.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    bytes: Vec<u8>,
    /// Offset behind each entry.
    ends: Vec<usize>,
    lost_entries: u64,
}

impl Backlog {
    /// Appends what `encode` writes as one entry, and says how many bytes that were. Once an entry was lost, all that
    /// follow are, until [`Self::take_lost`]: the log must not have more than one hole at a time.
    pub(super) fn push(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> usize {
        if self.lost_entries > 0 {
            self.lost_entries += 1;
            return 0;
        }
        let before = self.bytes.len();
        encode(&mut self.bytes);
        self.ends.push(self.bytes.len());
        self.bytes.len() - before
    }

    /// Drops the newest entries until the others fit [`MAX_BACKLOG_BYTES`].
    pub(super) fn shrink(&mut self) {
        if self.bytes.capacity() <= MAX_BACKLOG_BYTES {
            return;
        }
        let kept = self.ends.partition_point(|end| *end <= MAX_BACKLOG_BYTES);
        self.lost_entries += (self.ends.len() - kept) as u64;
        self.ends.truncate(kept);
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
        self.bytes.shrink_to(MAX_BACKLOG_BYTES);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many entries wait.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// How many bytes these have.
    #[cfg(test)]
    pub(super) fn waiting_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Every entry up to the one with which `room_bytes` are used up or exceeded; at least one if there is any.
    pub(super) fn front(&self, room_bytes: u64) -> &[u8] {
        let room = usize::try_from(room_bytes).unwrap_or(usize::MAX);
        let last = self.ends.partition_point(|end| *end < room).min(self.ends.len().saturating_sub(1));
        self.ends.get(last).and_then(|end| self.bytes.get(..*end)).unwrap_or_default()
    }

    /// Forgets the entries that `written_bytes` hold whole, and says how many bytes these have.
    pub(super) fn forget(&mut self, written_bytes: usize) -> usize {
        let whole = self.ends.partition_point(|end| *end <= written_bytes);
        let bytes = whole.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or(0);
        if whole == self.ends.len() {
            self.bytes.clear();
            self.ends.clear();
        } else {
            self.bytes.drain(..bytes);
            self.ends.drain(..whole);
            self.ends.iter_mut().for_each(|end| *end -= bytes);
        }
        bytes
    }

    /// How many entries found no room; from now on there is room again.
    pub(super) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost_entries)
    }

    /// How many entries found no room so far.
    pub(super) fn lost(&self) -> u64 {
        self.lost_entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backlog(entries: &[&str]) -> Backlog {
        let mut backlog = Backlog::default();
        for entry in entries {
            backlog.push(|out| out.extend_from_slice(entry.as_bytes()));
        }
        backlog
    }

    #[test]
    fn the_front_ends_with_the_entry_that_reaches_the_limit() {
        let backlog = backlog(&["aaaa", "bb", "cccc"]);
        for (room, front) in
            [(0, "aaaa"), (1, "aaaa"), (4, "aaaa"), (5, "aaaabb"), (7, "aaaabbcccc"), (99, "aaaabbcccc")]
        {
            assert_eq!(backlog.front(room), front.as_bytes(), "{room}");
        }
        assert_eq!(Backlog::default().front(9), b"");
    }

    #[test]
    fn only_whole_entries_are_forgotten() {
        let mut backlog = backlog(&["aaaa", "bb", "cccc"]);
        assert_eq!(backlog.forget(3), 0);
        assert_eq!(backlog.forget(5), 4);
        assert_eq!(backlog.front(99), b"bbcccc");
        assert_eq!(backlog.forget(6), 6);
        assert!(backlog.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_counted_and_leaves_one_hole() {
        let mut backlog = Backlog::default();
        let half = "x".repeat(MAX_BACKLOG_BYTES / 2);
        for _ in 0..3 {
            backlog.push(|out| out.extend_from_slice(half.as_bytes()));
        }
        backlog.shrink();
        backlog.push(|out| out.push(b'y'));
        assert_eq!((backlog.len(), backlog.lost()), (2, 2));
        assert_eq!(backlog.take_lost(), 2);
        backlog.push(|out| out.push(b'z'));
        assert_eq!((backlog.len(), backlog.lost()), (3, 0));
    }
}
