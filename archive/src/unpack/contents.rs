//! A file's contents: blocks of zeroes become holes, whether the archive says so or not.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::io::Errno;

use super::UnpackError;
use crate::{Entry, Piece, Source, TarError, TarReader};

/// What file systems allocate at a time.
const BLOCK_BYTES: usize = 4096;

/// Writes the contents of a member into an empty file.
pub(super) fn write<S: Source>(
    tar: &mut TarReader<S>,
    entry: &Entry,
    file: &File,
    name: &str,
) -> Result<(), UnpackError> {
    let mut position = 0;
    let outcome = tar.copy_data(entry, |piece| {
        match piece {
            Piece::Bytes(bytes) => write_bytes(file, bytes, &mut position).map_err(Failure::Write)?,
            Piece::Hole(bytes) => position += bytes,
        }
        Ok(())
    });
    match outcome.and_then(|()| file.set_len(entry.size_bytes).map_err(Failure::Write)) {
        Ok(()) => Ok(()),
        Err(Failure::Read(error)) => Err(error.into()),
        Err(Failure::Write(error)) => {
            let source = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            Err(UnpackError::Member { path: name.to_owned(), what: "writing it", source })
        }
    }
}

enum Failure {
    Read(TarError),
    Write(io::Error),
}

impl From<TarError> for Failure {
    fn from(error: TarError) -> Self {
        Self::Read(error)
    }
}

fn write_bytes(file: &File, mut bytes: &[u8], position: &mut u64) -> io::Result<()> {
    while !bytes.is_empty() {
        // Up to the next block's beginning, then block by block; what is not zero goes in one piece.
        let zeroes = leading_zero_blocks(bytes, *position);
        let length = if zeroes > 0 { zeroes } else { until_zero_block(bytes, *position) };
        let (now, rest) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
        if zeroes == 0 {
            file.write_all_at(now, *position)?;
        }
        *position += now.len() as u64;
        bytes = rest;
    }
    Ok(())
}

/// How many bytes at the beginning are whole blocks of zeroes.
fn leading_zero_blocks(bytes: &[u8], position: u64) -> usize {
    if !position.is_multiple_of(BLOCK_BYTES as u64) {
        return 0;
    }
    let zero = |block: &&[u8]| block.iter().all(|byte| *byte == 0);
    bytes.chunks_exact(BLOCK_BYTES).take_while(zero).count() * BLOCK_BYTES
}

/// How many bytes come before the next whole block of zeroes.
fn until_zero_block(bytes: &[u8], position: u64) -> usize {
    let into_block = usize::try_from(position % BLOCK_BYTES as u64).unwrap_or_default();
    let mut length = (BLOCK_BYTES - into_block).min(bytes.len());
    while let Some(block) = bytes.get(length..length + BLOCK_BYTES) {
        if block.iter().all(|byte| *byte == 0) {
            return length;
        }
        length += BLOCK_BYTES;
    }
    bytes.len()
}
