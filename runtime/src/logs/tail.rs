//! Finds the last lines of a file from its end, without reading the rest.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes read at a time.
const BLOCK_BYTES: u64 = 64 << 10;

/// Where the last lines begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TailStart {
    /// Of the first of them.
    pub(super) offset: u64,
    /// How many there are: fewer than wanted when the file has fewer.
    pub(super) lines: u64,
}

/// Finds where the last `wanted` whole lines begin; what follows the last newline is no line.
pub(super) fn find(file: &File, wanted: u64) -> io::Result<TailStart> {
    let mut end = file.metadata()?.len();
    let mut block = vec![0; usize::try_from(BLOCK_BYTES).unwrap_or(usize::MAX)];
    // Newlines found so far: the first one ends the last line.
    let mut newlines = 0;
    while end > 0 {
        let start = end.saturating_sub(BLOCK_BYTES);
        let length = usize::try_from(end - start).unwrap_or(block.len());
        let bytes = block.get_mut(..length).unwrap_or_default();
        file.read_exact_at(bytes, start)?;
        for (index, _) in bytes.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            if newlines == wanted {
                return Ok(TailStart { offset: start + index as u64 + 1, lines: wanted });
            }
            newlines += 1;
        }
        end = start;
    }
    Ok(TailStart { offset: 0, lines: newlines })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn start(content: &str, wanted: u64) -> (u64, u64) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        let found = find(&file, wanted).unwrap();
        (found.offset, found.lines)
    }

    #[test]
    fn lines_are_counted_from_the_end() {
        for (content, wanted, expected) in [
            ("", 1, (0, 0)),
            ("a\nb\nc\n", 0, (6, 0)),
            ("a\nb\nc\n", 1, (4, 1)),
            ("a\nb\nc\n", 3, (0, 3)),
            ("a\nb\nc\n", 9, (0, 3)),
            ("a\nb\ntorn", 1, (2, 1)),
            ("a\nb\ntorn", 0, (4, 0)),
            ("torn", 2, (0, 0)),
        ] {
            assert_eq!(start(content, wanted), expected, "{content:?} {wanted}");
        }
    }

    #[test]
    fn lines_may_begin_in_any_block() {
        let line = "x".repeat(1000) + "\n";
        let content = line.repeat(300);
        for wanted in [1, 65, 66, 131, 299] {
            let length = wanted * line.len() as u64;
            assert_eq!(start(&content, wanted), (content.len() as u64 - length, wanted));
        }
    }
}
