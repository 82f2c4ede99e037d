//! A stream into a file, uncompressed: what cannot be read twice, or not at any place, has to be somewhere.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};

use super::blob::FreeSpace;
use super::{Compression, LayerError, LayerLimits, MAGIC_BYTES};

/// Copies `source` to `file`, decompressing it when it is compressed.
pub(in crate::image) fn spool(
    source: impl Read,
    file: &mut File,
    limits: &LayerLimits,
    progress: &mut dyn FnMut(u64),
) -> Result<(), LayerError> {
    let read_error = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => LayerError::Tar("it is truncated".to_owned(), None),
        _ => LayerError::Tar("cannot read or decompress it".to_owned(), Some(error)),
    };
    let mut source = BufReader::with_capacity(128 << 10, source);
    let mut start = Vec::new();
    source.by_ref().take(MAGIC_BYTES as u64).read_to_end(&mut start).map_err(read_error)?;
    let compression = Compression::detect(&start)?;
    let mut decoder = compression.decoder(start.as_slice().chain(source)).map_err(read_error)?;
    let mut space = FreeSpace::new(limits.reserve_bytes);
    let mut buffer = vec![0; 1 << 20];
    let mut total = 0;
    loop {
        let count = match decoder.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(read_error(error)),
        };
        space.before_write(file, count as u64)?;
        file.write_all(buffer.get(..count).unwrap_or_default()).map_err(LayerError::write)?;
        total += count as u64;
        if total > limits.tar_bytes {
            return Err(LayerError::Limit { what: "bytes when uncompressed", limit: limits.tar_bytes });
        }
        progress(total);
    }
}
