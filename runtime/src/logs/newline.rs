//! Finds newlines fast.

use std::io::BufRead;

/// How many bytes there are up to the first newline, which counts; `None` without one.
pub(super) fn through(bytes: &[u8]) -> Option<usize> {
    let last = |length: usize| bytes.get(length.checked_sub(1)?).copied();
    // The standard library's only way to search for a byte with vector instructions.
    let length = (&mut { bytes }).skip_until(b'\n').ok()?;
    (last(length) == Some(b'\n')).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newline_counts_and_none_is_none() {
        for (text, expected) in [("", None), ("a", None), ("\n", Some(1)), ("ab\nc\n", Some(3))] {
            assert_eq!(through(text.as_bytes()), expected, "{text:?}");
        }
    }
}
