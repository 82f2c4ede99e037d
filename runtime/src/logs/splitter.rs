//! Cuts one stream's bytes into log entries, as Docker does.

use super::newline;

/// Longest entry, in bytes. A longer line becomes several entries, of which only the last ends in a newline.
pub(super) const MAX_ENTRY_BYTES: usize = 16 << 10;

/// Cuts a stream that arrives in chunks of any size. Holds back at most [`MAX_ENTRY_BYTES`].
#[derive(Debug, Default)]
pub(super) struct Splitter {
    rest: Vec<u8>,
}

impl Splitter {
    /// Takes a chunk and gives every entry that it completes, newline included.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut entry: impl FnMut(&[u8])) {
        while !bytes.is_empty() {
            let room = MAX_ENTRY_BYTES.saturating_sub(self.rest.len());
            let (window, _) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            let line = newline::through(window);
            let taken = line.unwrap_or(window.len());
            let (taken, after) = bytes.split_at_checked(taken).unwrap_or((bytes, &[]));
            bytes = after;
            if line.is_some() && self.rest.is_empty() {
                entry(taken);
                continue;
            }
            self.rest.extend_from_slice(taken);
            if line.is_some() {
                entry(&self.rest);
                self.rest.clear();
            } else if self.rest.len() >= MAX_ENTRY_BYTES {
                let cut = before_torn_character(&self.rest);
                entry(self.rest.get(..cut).unwrap_or_default());
                self.rest.drain(..cut);
            }
        }
    }

    /// Gives what the stream's end leaves: the last line, if it had no newline.
    pub(super) fn finish(&mut self, mut entry: impl FnMut(&[u8])) {
        if !self.rest.is_empty() {
            entry(&self.rest);
            self.rest.clear();
        }
    }
}

/// Where to cut so that a UTF-8 character at the end stays whole; Docker would replace both of its parts.
fn before_torn_character(bytes: &[u8]) -> usize {
    let len = bytes.len();
    for back in 1..=3.min(len) {
        let at = len - back;
        match bytes.get(at) {
            Some(0x80..=0xbf) => {}
            Some(0xc2..=0xdf) if back < 2 => return at,
            Some(0xe0..=0xef) if back < 3 => return at,
            Some(0xf0..=0xf4) if back < 4 => return at,
            _ => return len,
        }
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut splitter = Splitter::default();
        let mut entries = Vec::new();
        for chunk in chunks {
            splitter.push(chunk, |entry| entries.push(entry.to_vec()));
            assert!(splitter.rest.len() < MAX_ENTRY_BYTES);
        }
        splitter.finish(|entry| entries.push(entry.to_vec()));
        entries
    }

    #[test]
    fn lines_are_put_together_and_the_last_needs_no_newline() {
        assert_eq!(split(&[b"on", b"e\ntwo\n", b"\nthree"]), [&b"one\n"[..], b"two\n", b"\n", b"three"]);
        assert!(split(&[b"", b""]).is_empty());
    }

    #[test]
    fn long_lines_are_split_at_16_kib() {
        let mut line = vec![b'x'; 2 * MAX_ENTRY_BYTES];
        line.push(b'\n');
        let lengths: Vec<_> = split(&[&line]).iter().map(Vec::len).collect();
        assert_eq!(lengths, [MAX_ENTRY_BYTES, MAX_ENTRY_BYTES, 1]);
        let just_fits = [&line[..MAX_ENTRY_BYTES - 1], b"\n"].concat();
        assert_eq!(split(&[&just_fits]).len(), 1);
    }

    #[test]
    fn a_character_is_never_torn() {
        for character in ["é", "€", "🏝"] {
            for shift in 0..character.len() {
                let line = format!("{}{}", "x".repeat(MAX_ENTRY_BYTES - shift), character.repeat(9));
                let entries = split(&[line.as_bytes()]);
                assert!(
                    entries.iter().all(|entry| std::str::from_utf8(entry).is_ok()),
                    "{character} {shift}"
                );
                assert_eq!(entries.concat(), line.as_bytes());
            }
        }
        let garbage = vec![0x80; 3 * MAX_ENTRY_BYTES];
        assert_eq!(split(&[&garbage]).concat(), garbage);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_whatever_the_chunks(
            pieces in prop::collection::vec(("[a-c\n€]{0,40}", 1_usize..900), 0..12),
            chunk_bytes in 1_usize..40_000,
        ) {
            let text: String = pieces.iter().map(|(text, times)| text.repeat(*times)).collect();
            let chunks: Vec<_> = text.as_bytes().chunks(chunk_bytes).collect();
            let entries = split(&chunks);
            prop_assert!(entries.concat() == text.as_bytes());
            prop_assert!(entries == split(&[text.as_bytes()]), "the chunks do not show");
            for entry in &entries {
                prop_assert!(entry.len() <= MAX_ENTRY_BYTES && std::str::from_utf8(entry).is_ok());
                prop_assert!(!entry[..entry.len() - 1].contains(&b'\n'));
            }
        }
    }
}
