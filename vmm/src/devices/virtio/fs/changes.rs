//! What changed on the host, as the guest is to be told: in its own numbers, and bounded as long as it does not ask.
//!
//! ```text
//!   number of the inode (8 bytes) | kind (4) | cookie (4) | bytes of the name (4) | 0 (4) | the name, and 1 to 8 zeroes
//!
//! guest-kernel/patches/0007 reads it. Kinds are inotify(7)'s.
//! ```

use std::collections::VecDeque;
use std::ffi::CString;

use super::ledger::Node;

/// Most that wait for the guest; what comes after is lost to it.
const MAX_CHANGES: usize = 4096;
/// Parts of an answer are aligned so, for the guest to read them in place.
const ALIGNMENT: usize = 8;
/// Enough for one with the longest name.
pub(super) const MAX_CHANGE_BYTES: usize = 24 + 256;
/// Guests count the cookies of their own renames from 1, and the host its own.
const OF_THE_HOST: u32 = 1 << 31;

/// Something that happened to an inode, or to a name in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) node: Node,
    pub(super) kind: u32,
    /// What the two halves of a rename have in common, or 0.
    pub(super) cookie: u32,
    pub(super) name: Option<CString>,
}

impl Change {
    fn bytes(&self) -> Vec<u8> {
        let name = self.name.as_ref().map_or(&b""[..], |name| name.to_bytes());
        let length = u32::try_from(name.len()).unwrap_or(0);
        let cookie = if self.cookie == 0 { 0 } else { self.cookie | OF_THE_HOST };
        let words = [self.kind, cookie, length, 0].map(u32::to_le_bytes).concat();
        let mut bytes = [&self.node.to_le_bytes()[..], &words, name, &[0]].concat();
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        bytes
    }
}

/// Those that the guest has not been told yet.
#[derive(Debug, Default)]
pub(super) struct Changes(VecDeque<Change>);

impl Changes {
    /// One more; false if there is no room for it. As inotify does, one that is like the last is none.
    pub(super) fn add(&mut self, change: Change) -> bool {
        if self.0.back() == Some(&change) {
            return true;
        }
        let has_room = self.0.len() < MAX_CHANGES;
        if has_room {
            self.0.push_back(change);
        }
        has_room
    }

    /// As many as there is room for.
    pub(super) fn take(&mut self, room: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        while let Some(change) = self.0.front() {
            let bytes = change.bytes();
            if taken.len() + bytes.len() > room {
                break;
            }
            taken.extend(bytes);
            self.0.pop_front();
        }
        taken
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(node: Node, name: Option<&str>) -> Change {
        Change { node, kind: 2, cookie: 0, name: name.map(|name| CString::new(name).unwrap()) }
    }

    #[test]
    fn they_are_told_in_their_order_as_far_as_there_is_room() {
        let mut changes = Changes::default();
        let longest = "n".repeat(255);
        for one in [change(1, None), change(1, None), change(2, Some("seven77")), change(3, Some(&longest))] {
            assert!(changes.add(one));
        }
        let first = changes.take(32 + 32);
        assert_eq!(first.len(), 32 + 32, "like the last one is none");
        assert_eq!((&first[..8], &first[16..24]), (&1_u64.to_le_bytes()[..], &[0; 8][..]));
        assert_eq!((&first[48..52], &first[56..64]), (&[7, 0, 0, 0][..], &b"seven77\0"[..]));
        assert_eq!((changes.take(MAX_CHANGE_BYTES - 1).len(), changes.is_empty()), (0, false));
        assert_eq!((changes.take(MAX_CHANGE_BYTES).len(), changes.is_empty()), (MAX_CHANGE_BYTES, true));
    }

    #[test]
    fn a_guest_that_does_not_ask_makes_them_no_more() {
        let mut changes = Changes::default();
        let taken = (0..10_000).filter(|node| changes.add(change(*node, None))).count();
        assert_eq!(taken, MAX_CHANGES);
        changes.clear();
        assert!(changes.is_empty() && changes.add(change(1, None)));
    }

    #[test]
    fn cookies_are_not_those_of_the_guest() {
        let moved = Change { cookie: 5, ..change(1, None) };
        assert_eq!(moved.bytes()[12..16], [5, 0, 0, 0x80]);
    }
}
