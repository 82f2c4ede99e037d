//! Making the recipe while the layer is read.

use std::fs::File;
use std::io::{self, BufRead, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use zstd::stream::write::Encoder;

use super::{CONTENT, HEADER_BYTES, MAGIC, RAW, VERSION};
use crate::image::hashed::Hashed;
use crate::image::layer::LayerError;
use crate::image::layer::blob::{Extent, FreeSpace};
use holm_archive::Source;

const ZSTD_LEVEL: i32 = 1;
/// How much is held back before it is written.
const MAX_RAW_BYTES: usize = 1 << 20;

/// Writes down what passes, but for the contents that it is told of.
pub(in crate::image) struct Recorder<S> {
    source: S,
    steps: Encoder<'static, Hashed<BufWriter<File>>>,
    raw: Vec<u8>,
    /// Bytes to come that the data file has.
    content_bytes: u64,
    space: FreeSpace,
    failure: Option<LayerError>,
}

impl<S: Source> Recorder<S> {
    pub(in crate::image) fn new(source: S, path: &Path, reserve_bytes: u64) -> Result<Self, LayerError> {
        let mut file = BufWriter::new(File::create_new(path).map_err(LayerError::write)?);
        // The header is written when the checksum is known.
        file.write_all(&[0; HEADER_BYTES]).map_err(LayerError::write)?;
        let steps = Encoder::new(Hashed::new(file), ZSTD_LEVEL).map_err(LayerError::write)?;
        let (raw, space) = (Vec::new(), FreeSpace::new(reserve_bytes));
        Ok(Self { source, steps, raw, content_bytes: 0, space, failure: None })
    }

    /// The next so many bytes are a file's contents; [`Recorder::end_content`] says where they went.
    pub(in crate::image) fn begin_content(&mut self, bytes: u64) -> Result<(), LayerError> {
        self.flush()?;
        self.content_bytes = bytes;
        Ok(())
    }

    pub(in crate::image) fn end_content(&mut self, bytes: u64, extents: &[Extent]) -> Result<(), LayerError> {
        let count = u32::try_from(extents.len()).map_err(|_| LayerError::Damaged("too many extents"))?;
        let mut step = vec![CONTENT];
        step.extend_from_slice(&bytes.to_le_bytes());
        step.extend_from_slice(&count.to_le_bytes());
        for extent in extents {
            for number in [extent.file_block, extent.data_block, extent.blocks] {
                step.extend_from_slice(&number.to_le_bytes());
            }
        }
        self.steps.write_all(&step).map_err(LayerError::write)
    }

    /// Reads on to the end, for what follows the last member, and completes and syncs the file.
    pub(in crate::image) fn finish(mut self) -> Result<(), LayerError> {
        loop {
            let count = self
                .fill_buf()
                .map_err(|error| LayerError::Tar("cannot read it".to_owned(), Some(error)))?
                .len();
            if count == 0 {
                break;
            }
            self.consume(count);
        }
        self.flush()?;
        let (file, digest, _) = self.steps.finish().map_err(LayerError::write)?.finish();
        let header = [MAGIC.as_slice(), &VERSION.to_le_bytes(), digest.bytes()].concat();
        file.into_inner()
            .map_err(io::Error::from)
            .and_then(|file| file.write_all_at(&header, 0).and_then(|()| file.sync_all()))
            .map_err(LayerError::write)
    }

    fn flush(&mut self) -> Result<(), LayerError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if self.raw.is_empty() {
            return Ok(());
        }
        let length = u32::try_from(self.raw.len()).map_err(|_| LayerError::Damaged("too long a step"))?;
        self.space.before_write(self.steps.get_ref().inner().get_ref(), u64::from(length))?;
        self.steps.write_all(&[RAW]).map_err(LayerError::write)?;
        self.steps.write_all(&length.to_le_bytes()).map_err(LayerError::write)?;
        self.steps.write_all(&self.raw).map_err(LayerError::write)?;
        self.raw.clear();
        Ok(())
    }
}

impl<S: Source> Read for Recorder<S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(out)?;
        self.consume(count);
        Ok(count)
    }
}

impl<S: Source> BufRead for Recorder<S> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.source.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        let content = usize::try_from(self.content_bytes).unwrap_or(usize::MAX).min(amount);
        self.content_bytes -= content as u64;
        if amount > content {
            // What was filled is there still.
            let bytes = self.source.fill_buf().ok().and_then(|bytes| bytes.get(content..amount));
            self.raw.extend_from_slice(bytes.unwrap_or_default());
        }
        self.source.consume(amount);
        if self.raw.len() >= MAX_RAW_BYTES && self.failure.is_none() {
            self.failure = self.flush().err();
        }
    }
}

impl<S: Source> Source for Recorder<S> {}
