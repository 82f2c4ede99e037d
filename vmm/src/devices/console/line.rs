//! Bytes gathered into lines of bounded length.

/// Longest line in bytes; a longer one is cut into several.
pub(super) const MAX_LINE_BYTES: usize = 512;

/// A line that is being written.
#[derive(Debug, Default)]
pub(super) struct Line {
    bytes: Vec<u8>,
}

impl Line {
    /// Takes one byte; whether the line is complete with it.
    pub(super) fn push(&mut self, byte: u8) -> bool {
        match byte {
            b'\r' => false,
            b'\n' => true,
            _ => {
                self.bytes.push(byte);
                self.bytes.len() >= MAX_LINE_BYTES
            }
        }
    }

    /// The line without its end; a new one starts.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}
