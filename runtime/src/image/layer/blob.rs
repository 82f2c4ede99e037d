//! The `data` file of a layer: contents in 4 KiB blocks, without long runs of zeroes.

use std::fs::File;
use std::io::Write;

use nix::sys::statvfs::fstatvfs;
use serde::{Deserialize, Serialize};

use super::LayerError;

/// Size of a block in bytes: EROFS's.
pub(in crate::image) const BLOCK_BYTES: u64 = 4096;
/// Zeroes are left out in windows of this size, aligned within their file. Smaller ones would save little and make
/// EROFS's chunk arrays long.
const WINDOW_BYTES: usize = 64 << 10;
const BUFFER_BYTES: usize = 1 << 20;
static ZEROES: [u8; WINDOW_BYTES] = [0; WINDOW_BYTES];

/// Where a run of a file's blocks lies in the data file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::image) struct Extent {
    /// First block within the file.
    pub(in crate::image) file_block: u32,
    /// First block within the data file.
    pub(in crate::image) data_block: u32,
    /// Length in blocks.
    pub(in crate::image) blocks: u32,
}

/// Writes one file's contents after the other.
pub(super) struct BlobWriter {
    file: File,
    buffer: Vec<u8>,
    /// Bytes before the buffer, a multiple of the block size.
    flushed_bytes: u64,
    space: FreeSpace,
    // Of the file being written:
    extents: Vec<Extent>,
    /// Bytes of it so far, with holes.
    size_bytes: u64,
    /// Bytes of its current window; they are the end of the buffer.
    window_bytes: usize,
}

impl BlobWriter {
    pub(super) fn new(file: File, reserve_bytes: u64) -> Self {
        Self {
            file,
            buffer: Vec::with_capacity(BUFFER_BYTES + WINDOW_BYTES),
            flushed_bytes: 0,
            space: FreeSpace::new(reserve_bytes),
            extents: Vec::new(),
            size_bytes: 0,
            window_bytes: 0,
        }
    }

    /// More contents of the current file.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<(), LayerError> {
        while !bytes.is_empty() {
            let (head, rest) = bytes.split_at(bytes.len().min(WINDOW_BYTES - self.window_bytes));
            self.buffer.extend_from_slice(head);
            self.window_bytes += head.len();
            self.size_bytes += head.len() as u64;
            if self.window_bytes == WINDOW_BYTES {
                self.end_window()?;
            }
            bytes = rest;
        }
        Ok(())
    }

    /// So many zeroes; whole windows of them cost nothing.
    pub(super) fn write_hole(&mut self, mut bytes: u64) -> Result<(), LayerError> {
        const WINDOW: u64 = WINDOW_BYTES as u64;
        while bytes > 0 {
            if self.window_bytes == 0 && bytes >= WINDOW {
                let skipped = bytes - bytes % WINDOW;
                self.size_bytes += skipped;
                bytes -= skipped;
            } else {
                let step =
                    usize::try_from(bytes).unwrap_or(WINDOW_BYTES).min(WINDOW_BYTES - self.window_bytes);
                self.write(ZEROES.get(..step).unwrap_or_default())?;
                bytes -= step as u64;
            }
        }
        Ok(())
    }

    /// Ends the current file and says where it went.
    pub(super) fn end_file(&mut self) -> Result<Vec<Extent>, LayerError> {
        if self.window_bytes > 0 {
            self.end_window()?;
        }
        self.size_bytes = 0;
        Ok(std::mem::take(&mut self.extents))
    }

    /// Writes and syncs what is left, and gives the number of blocks.
    pub(super) fn finish(mut self) -> Result<u32, LayerError> {
        self.flush()?;
        self.file.sync_all().map_err(LayerError::write)?;
        block_number(self.flushed_bytes)
    }

    fn end_window(&mut self) -> Result<(), LayerError> {
        let start = self.buffer.len() - self.window_bytes;
        let window = self.buffer.get(start..).unwrap_or_default();
        if Some(window) == ZEROES.get(..window.len()) {
            self.buffer.truncate(start);
            self.window_bytes = 0;
            return Ok(());
        }
        self.buffer.resize(start + self.window_bytes.next_multiple_of(4096), 0);
        let added = Extent {
            file_block: block_number(self.size_bytes - self.window_bytes as u64)?,
            data_block: block_number(self.flushed_bytes + start as u64)?,
            blocks: block_number((self.buffer.len() - start) as u64)?,
        };
        self.window_bytes = 0;
        match self.extents.last_mut() {
            // Within one file, contents follow each other in the data file without gaps.
            Some(last) if last.file_block + last.blocks == added.file_block => last.blocks += added.blocks,
            _ => self.extents.push(added),
        }
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), LayerError> {
        self.space.before_write(&self.file, self.buffer.len() as u64)?;
        self.file.write_all(&self.buffer).map_err(LayerError::write)?;
        self.flushed_bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

fn block_number(bytes: u64) -> Result<u32, LayerError> {
    u32::try_from(bytes.div_ceil(BLOCK_BYTES)).map_err(|_| LayerError::Limit {
        what: "bytes of contents",
        limit: u64::from(u32::MAX) * BLOCK_BYTES,
    })
}

/// Stops writing before the file system is full, for the sake of everything else on it.
pub(in crate::image) struct FreeSpace {
    reserve_bytes: u64,
    unchecked_bytes: u64,
}

impl FreeSpace {
    /// How much may be written between two looks at the file system.
    const STEP_BYTES: u64 = 16 << 20;

    pub(in crate::image) fn new(reserve_bytes: u64) -> Self {
        Self { reserve_bytes, unchecked_bytes: Self::STEP_BYTES }
    }

    /// Whether so many bytes fit at all.
    pub(in crate::image) fn check(file: &File, bytes: u64) -> Result<(), LayerError> {
        Self { reserve_bytes: 0, unchecked_bytes: Self::STEP_BYTES }.before_write(file, bytes)
    }

    pub(in crate::image) fn before_write(&mut self, file: &File, bytes: u64) -> Result<(), LayerError> {
        self.unchecked_bytes += bytes;
        if self.unchecked_bytes < Self::STEP_BYTES {
            return Ok(());
        }
        self.unchecked_bytes = 0;
        let stat = fstatvfs(file).map_err(|error| LayerError::Store("examine", error.into()))?;
        let free_bytes = stat.blocks_available().saturating_mul(stat.fragment_size());
        if free_bytes < self.reserve_bytes.saturating_add(bytes) { Err(LayerError::NoSpace) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;

    fn writer() -> (BlobWriter, File) {
        let file = tempfile::tempfile().unwrap();
        (BlobWriter::new(file.try_clone().unwrap(), 0), file)
    }

    fn extent(file_block: u32, data_block: u32, blocks: u32) -> Extent {
        Extent { file_block, data_block, blocks }
    }

    #[test]
    fn contents_are_padded_to_blocks_and_packed() {
        let (mut writer, mut file) = writer();
        writer.write(b"abc").unwrap();
        assert_eq!(writer.end_file().unwrap(), [extent(0, 0, 1)]);
        assert_eq!(writer.end_file().unwrap(), []);
        for piece in vec![7; 200_000].chunks(999) {
            writer.write(piece).unwrap();
        }
        assert_eq!(writer.end_file().unwrap(), [extent(0, 1, 49)]);
        assert_eq!(writer.finish().unwrap(), 50);
        let mut all = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), 50 * 4096);
        assert!(all.starts_with(b"abc\0") && all[4096..][..200_000].iter().all(|byte| *byte == 7));
    }

    #[test]
    fn aligned_windows_of_zeroes_are_left_out() {
        let (mut writer, _file) = writer();
        writer.write(&[1; 10]).unwrap();
        writer.write_hole(3 * 65_536).unwrap();
        writer.write(&[1]).unwrap();
        assert_eq!(writer.end_file().unwrap(), [extent(0, 0, 16), extent(48, 16, 1)]);
        writer.write(&[0; 1000]).unwrap();
        assert_eq!(writer.end_file().unwrap(), []);
        writer.write_hole(1 << 60).unwrap();
        assert_eq!(writer.end_file().unwrap(), []);
        assert_eq!(writer.finish().unwrap(), 17);
    }

    #[test]
    fn a_full_file_system_is_seen_before_it_is_full() {
        let file = tempfile::tempfile().unwrap();
        let mut writer = BlobWriter::new(file, u64::MAX);
        assert!(matches!(writer.write(&vec![1; 2 << 20]), Err(LayerError::NoSpace)));
    }
}
