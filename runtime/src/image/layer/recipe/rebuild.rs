//! Following the recipe.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::steps::{self, array, next_kind};
use super::{CONTENT, RAW};
use crate::image::Digest;
use crate::image::hashed::Hashed;
use crate::image::layer::LayerError;
use crate::image::layer::blob::{BLOCK_BYTES, Extent};

/// Writes the tar of a layer's directory and checks that it has this diffID.
pub(in crate::image) fn rebuild(
    directory: &Path,
    diff_id: &Digest,
    out: &mut dyn Write,
) -> Result<(), LayerError> {
    let read = |error| LayerError::Store("read", error);
    let mut steps = steps::open(directory)?;
    let data = File::open(directory.join("data")).map_err(read)?;
    let mut tar = Hashed::new(out);
    while let Some(kind) = next_kind(&mut steps).map_err(read)? {
        match kind {
            RAW => {
                let length = u64::from(u32::from_le_bytes(array(&mut steps).map_err(read)?));
                copy(&mut (&mut steps).take(length), length, &mut tar)?;
            }
            CONTENT => {
                let size_bytes = u64::from_le_bytes(array(&mut steps).map_err(read)?);
                let count = u32::from_le_bytes(array(&mut steps).map_err(read)?);
                let mut position = 0;
                for _ in 0..count {
                    let mut number = || array(&mut steps).map(u32::from_le_bytes).map_err(read);
                    let extent = Extent { file_block: number()?, data_block: number()?, blocks: number()? };
                    let start = u64::from(extent.file_block) * BLOCK_BYTES;
                    let gap =
                        start.checked_sub(position).ok_or(LayerError::Damaged("its recipe is wrong"))?;
                    copy(&mut io::repeat(0).take(gap), gap, &mut tar)?;
                    let rest = size_bytes.saturating_sub(start);
                    let length = (u64::from(extent.blocks) * BLOCK_BYTES).min(rest);
                    let mut blocks = At { file: &data, position: u64::from(extent.data_block) * BLOCK_BYTES };
                    copy(&mut (&mut blocks).take(length), length, &mut tar)?;
                    position = start + length;
                }
                let rest = size_bytes.saturating_sub(position);
                copy(&mut io::repeat(0).take(rest), rest, &mut tar)?;
            }
            _ => return Err(LayerError::Damaged("its recipe is wrong")),
        }
    }
    let (_, actual, _) = tar.finish();
    if actual == *diff_id { Ok(()) } else { Err(LayerError::Digest { expected: *diff_id, actual }) }
}

fn copy(from: &mut impl Read, length: u64, to: &mut impl Write) -> Result<(), LayerError> {
    let copied = io::copy(from, to).map_err(|error| LayerError::Store("read or pack", error))?;
    if copied == length { Ok(()) } else { Err(LayerError::Damaged("its data are truncated")) }
}

/// Reads from a place of a file on.
struct At<'a> {
    file: &'a File,
    position: u64,
}

impl Read for At<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(out, self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}
