//! Reads whole lines of a file that may still grow.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::newline;

/// Bytes read at a time.
const BLOCK_BYTES: usize = 64 << 10;

/// No entry is longer; a longer line is damage and is skipped.
const MAX_LINE_BYTES: usize = 1 << 20;

/// A position in a log file.
#[derive(Debug)]
pub(super) struct Lines {
    file: File,
    /// Of `buffer`'s first byte.
    offset: u64,
    buffer: Vec<u8>,
    /// How much of `buffer` was given out.
    given: usize,
    /// How much of what was not given out has no newline.
    searched: usize,
    /// Within a line that is too long.
    skipping: bool,
}

impl Lines {
    /// Starts at `offset`, which must be the beginning of a line.
    pub(super) fn new(file: File, offset: u64) -> Self {
        Self { file, offset, buffer: Vec::new(), given: 0, searched: 0, skipping: false }
    }

    /// The file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// The next line without its newline; `None` when there is no whole one at the moment. Ask again for what was
    /// written since.
    pub(super) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            let rest = self.buffer.get(self.given + self.searched..).unwrap_or_default();
            if let Some(length) = newline::through(rest) {
                let line = self.given..self.given + self.searched + length - 1;
                self.given = line.end + 1;
                self.searched = 0;
                if std::mem::take(&mut self.skipping) {
                    continue;
                }
                return Ok(self.buffer.get(line));
            }
            self.searched += rest.len();
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Reads another block behind what is there; false at the end of the file.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.given);
        self.offset += self.given as u64;
        self.given = 0;
        if self.skipping || self.buffer.len() > MAX_LINE_BYTES {
            self.skipping = true;
            self.offset += self.buffer.len() as u64;
            self.buffer.clear();
            self.searched = 0;
        }
        let kept = self.buffer.len();
        self.buffer.resize(kept + BLOCK_BYTES, 0);
        let free = self.buffer.get_mut(kept..).unwrap_or_default();
        let result = self.file.read_at(free, self.offset + kept as u64);
        self.buffer.truncate(kept + result.as_ref().map_or(0, |length| *length));
        if result? > 0 {
            return Ok(true);
        }
        // The part of a line is read again later: the writer may cut it off and write another.
        self.buffer.clear();
        self.searched = 0;
        if self.file.metadata()?.len() < self.offset {
            // Somebody emptied the file.
            self.offset = 0;
            self.skipping = false;
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn next(lines: &mut Lines) -> Option<String> {
        lines.next().unwrap().map(|line| String::from_utf8(line.to_vec()).unwrap())
    }

    fn file(content: &[u8]) -> (tempfile::NamedTempFile, Lines) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        let lines = Lines::new(file.reopen().unwrap(), 0);
        (file, lines)
    }

    #[test]
    fn only_whole_lines_are_given_and_the_rest_when_it_comes() {
        let (mut file, mut lines) = file(b"one\n\nthr");
        assert_eq!(next(&mut lines).as_deref(), Some("one"));
        assert_eq!(next(&mut lines).as_deref(), Some(""));
        assert_eq!(next(&mut lines), None);
        file.write_all(b"ee\n").unwrap();
        assert_eq!(next(&mut lines).as_deref(), Some("three"));
        assert_eq!(next(&mut lines), None);
    }

    #[test]
    fn a_torn_line_may_be_replaced_and_a_file_emptied() {
        let (file, mut lines) = file(b"one\ntorn");
        assert_eq!(next(&mut lines).as_deref(), Some("one"));
        assert_eq!(next(&mut lines), None);
        file.as_file().set_len(4).unwrap();
        file.as_file().write_all_at(b"two\n", 4).unwrap();
        assert_eq!(next(&mut lines).as_deref(), Some("two"));
        file.as_file().set_len(0).unwrap();
        assert_eq!(next(&mut lines), None);
        file.as_file().write_all_at(b"new\n", 0).unwrap();
        assert_eq!(next(&mut lines).as_deref(), Some("new"));
    }

    #[test]
    fn lines_cross_blocks_and_endless_ones_are_skipped() {
        let long = "x".repeat(3 * BLOCK_BYTES + 7);
        let endless = "y".repeat(3 * MAX_LINE_BYTES);
        let (_file, mut lines) = file(format!("{long}\n{endless}\nafter\n").as_bytes());
        assert!(next(&mut lines).unwrap() == long);
        assert_eq!(next(&mut lines).as_deref(), Some("after"));
        assert_eq!(next(&mut lines), None);
    }
}
