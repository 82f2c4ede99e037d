//! The `recipe` file of a layer: how to make its tar again, byte for byte, from its `data` file. `push` needs that, for
//! the diffID in the config is the digest of the tar. (Docker keeps the same, and calls it tar-split.)
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `HOLMRCPE` |
//! | 8 | 4 | version, little-endian, [`VERSION`] |
//! | 12 | | the steps, as zstd |
//!
//! A step is a 0, a length (u32) and as many bytes of the tar: headers and padding; or a 1, a length (u64), a count (u32)
//! and as many [`Extent`]s (three u32 each) of the `data` file: a file's contents, zeroes between the extents. All are
//! little-endian. Whether the tar is the right one shows in its digest, so the file needs no checksum.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::LayerError;
use super::blob::{BLOCK_BYTES, Extent, FreeSpace};
use crate::image::Digest;
use crate::image::tar::Source;

const MAGIC: &[u8; 8] = b"HOLMRCPE";
const VERSION: u32 = 1;
const ZSTD_LEVEL: i32 = 1;
const RAW: u8 = 0;
const CONTENT: u8 = 1;
const MAX_RAW_BYTES: usize = 1 << 20;

/// Writes down what passes, but for the contents that it is told of.
pub(super) struct Recorder<S> {
    source: S,
    steps: zstd::stream::write::Encoder<'static, BufWriter<File>>,
    raw: Vec<u8>,
    /// Bytes to come that the data file has.
    content_bytes: u64,
    space: FreeSpace,
    failure: Option<LayerError>,
}

impl<S: Source> Recorder<S> {
    pub(super) fn new(source: S, path: &Path, reserve_bytes: u64) -> Result<Self, LayerError> {
        let mut file = BufWriter::new(File::create_new(path).map_err(LayerError::write)?);
        file.write_all(MAGIC)
            .and_then(|()| file.write_all(&VERSION.to_le_bytes()))
            .map_err(LayerError::write)?;
        let steps = zstd::stream::write::Encoder::new(file, ZSTD_LEVEL).map_err(LayerError::write)?;
        let (raw, space) = (Vec::new(), FreeSpace::new(reserve_bytes));
        Ok(Self { source, steps, raw, content_bytes: 0, space, failure: None })
    }

    /// The next so many bytes are a file's contents; [`Recorder::end_content`] says where they went.
    pub(super) fn begin_content(&mut self, bytes: u64) -> Result<(), LayerError> {
        self.flush()?;
        self.content_bytes = bytes;
        Ok(())
    }

    pub(super) fn end_content(&mut self, bytes: u64, extents: &[Extent]) -> Result<(), LayerError> {
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
    pub(super) fn finish(mut self) -> Result<(), LayerError> {
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
        let file = self.steps.finish().and_then(|file| file.into_inner().map_err(io::Error::from));
        file.and_then(|file| file.sync_all()).map_err(LayerError::write)
    }

    fn flush(&mut self) -> Result<(), LayerError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if self.raw.is_empty() {
            return Ok(());
        }
        let length = u32::try_from(self.raw.len()).map_err(|_| LayerError::Damaged("too long a step"))?;
        self.space.before_write(self.steps.get_ref().get_ref(), u64::from(length))?;
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
    let mut file = BufReader::new(file);
    let mut header = [0; 12];
    file.read_exact(&mut header).map_err(read)?;
    if !header.starts_with(MAGIC) || !header.ends_with(&VERSION.to_le_bytes()) {
        return Err(LayerError::Damaged("its recipe is of another version"));
    }
    let mut steps = BufReader::new(zstd::stream::read::Decoder::with_buffer(file).map_err(read)?);
    let mut tar = Hashing { out, hasher: Sha256::new() };
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
    let actual = Digest::finish(tar.hasher);
    if actual == *diff_id { Ok(()) } else { Err(LayerError::Digest { expected: *diff_id, actual }) }
}

fn copy(from: &mut impl Read, length: u64, to: &mut Hashing<'_>) -> Result<(), LayerError> {
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

struct Hashing<'a> {
    out: &'a mut dyn Write,
    hasher: Sha256,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hasher.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
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
