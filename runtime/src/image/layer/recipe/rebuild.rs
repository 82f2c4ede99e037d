//! Following the recipe.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use zstd::stream::read::Decoder;

use super::{CONTENT, HEADER_BYTES, MAGIC, RAW, VERSION};
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
    let file = match File::open(directory.join("recipe")) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(LayerError::Damaged("it has no recipe: load or pull the image again"));
        }
        Err(error) => return Err(read(error)),
    };
    let data = File::open(directory.join("data")).map_err(read)?;
    let mut steps = BufReader::new(Decoder::with_buffer(verified(file)?).map_err(read)?);
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

/// The steps of a recipe that is whole.
fn verified(file: File) -> Result<BufReader<File>, LayerError> {
    let read = |error| LayerError::Store("read", error);
    let mut file = BufReader::new(file);
    let header: [u8; HEADER_BYTES] =
        array(&mut file).map_err(|_| LayerError::Damaged("its recipe is truncated"))?;
    let digest = header.strip_prefix(MAGIC).and_then(|rest| rest.strip_prefix(&VERSION.to_le_bytes()));
    let digest = digest.ok_or(LayerError::Damaged("its recipe is of another version"))?;
    let mut steps = Hashed::new(io::sink());
    io::copy(&mut file, &mut steps).map_err(read)?;
    let (_, actual, _) = steps.finish();
    if actual.bytes() != digest {
        return Err(LayerError::Damaged("its recipe has another checksum"));
    }
    file.seek(SeekFrom::Start(HEADER_BYTES as u64)).map_err(read)?;
    Ok(file)
}

fn copy(from: &mut impl Read, length: u64, to: &mut impl Write) -> Result<(), LayerError> {
    let copied = io::copy(from, to).map_err(|error| LayerError::Store("read or pack", error))?;
    if copied == length { Ok(()) } else { Err(LayerError::Damaged("its data are truncated")) }
}

fn next_kind(steps: &mut impl Read) -> io::Result<Option<u8>> {
    let mut kind = [0];
    Ok((steps.read(&mut kind)? == 1).then_some(kind[0]))
}

fn array<const N: usize>(steps: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    steps.read_exact(&mut bytes)?;
    Ok(bytes)
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
