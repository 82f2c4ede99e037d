//! Reading the steps of a recipe.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use zstd::stream::read::Decoder;

use super::{CONTENT, HEADER_BYTES, MAGIC, RAW, VERSION};
use crate::image::hashed::Hashed;
use crate::image::layer::LayerError;

/// Steps, decompressed.
pub(super) type Steps = BufReader<Decoder<'static, BufReader<File>>>;

/// The steps of a layer's directory.
pub(super) fn open(directory: &Path) -> Result<Steps, LayerError> {
    let read = |error| LayerError::Store("read", error);
    let file = match File::open(directory.join("recipe")) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(LayerError::Damaged("it has no recipe: load or pull the image again"));
        }
        Err(error) => return Err(read(error)),
    };
    Ok(BufReader::new(Decoder::with_buffer(verified(file)?).map_err(read)?))
}

/// How long the tar of a layer's directory is, without making it.
pub(in crate::image) fn tar_bytes(directory: &Path) -> Result<u64, LayerError> {
    const EXTENT_BYTES: u64 = 12;
    let wrong = || LayerError::Damaged("its recipe is wrong");
    let read = |error| LayerError::Store("read", error);
    let mut steps = open(directory)?;
    let mut bytes: u64 = 0;
    while let Some(kind) = next_kind(&mut steps).map_err(read)? {
        let (length, skipped) = match kind {
            RAW => {
                let length = u64::from(u32::from_le_bytes(array(&mut steps).map_err(read)?));
                (length, length)
            }
            CONTENT => {
                let length = u64::from_le_bytes(array(&mut steps).map_err(read)?);
                let extents = u32::from_le_bytes(array(&mut steps).map_err(read)?);
                (length, u64::from(extents) * EXTENT_BYTES)
            }
            _ => return Err(wrong()),
        };
        io::copy(&mut (&mut steps).take(skipped), &mut io::sink()).map_err(read)?;
        bytes = bytes.checked_add(length).ok_or_else(wrong)?;
    }
    Ok(bytes)
}

/// A recipe that is whole, from its first step on.
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

pub(super) fn next_kind(steps: &mut impl Read) -> io::Result<Option<u8>> {
    let mut kind = [0];
    Ok((steps.read(&mut kind)? == 1).then_some(kind[0]))
}

pub(super) fn array<const N: usize>(steps: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    steps.read_exact(&mut bytes)?;
    Ok(bytes)
}
