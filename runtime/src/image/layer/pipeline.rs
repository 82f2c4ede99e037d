//! Decompression and hashing beside the parsing.
//!
//! Threads: one reads, hashes and decompresses the source, one hashes what comes out, and the caller's consumes it.
//! They share chunks through bounded channels, so that the slowest sets the pace and memory stays at a few MiB.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use sha2::{Digest as _, Sha256};

use super::{Compression, LayerError, MAGIC_BYTES};
use crate::image::Digest;
use holm_archive::Source;

const CHUNK_BYTES: u64 = 256 << 10;
const CHUNKS_AHEAD: usize = 4;

type Chunk = Arc<Vec<u8>>;

/// Runs `consume` on the uncompressed stream of `source`, hashes both to their ends, and gives the diffID.
///
/// A source that has not the `expected` digest is refused for that, whatever else is wrong with it. `progress` is called
/// with the bytes read from `source` so far, once for each chunk.
pub(super) fn decompress<T>(
    source: impl Read + Send,
    expected: Option<&Digest>,
    max_bytes: u64,
    progress: &mut dyn FnMut(u64),
    consume: impl FnOnce(&mut ChunkSource<'_>) -> Result<T, LayerError>,
) -> Result<(T, Digest), LayerError> {
    let read_bytes = AtomicU64::new(0);
    let source = CountingHash { inner: source, hasher: Sha256::new(), count: &read_bytes };
    thread::scope(|scope| {
        let (to_parser, chunks) = sync_channel(CHUNKS_AHEAD);
        let (to_hasher, hashed) = sync_channel::<Chunk>(CHUNKS_AHEAD);
        let verify = expected.is_some();
        let reader = scope.spawn(move || produce(source, verify, max_bytes, &to_parser, &to_hasher));
        let hasher = scope.spawn(move || {
            let mut hasher = Sha256::new();
            hashed.iter().for_each(|chunk| hasher.update(chunk.as_slice()));
            Digest::finish(hasher)
        });
        let mut chunks =
            ChunkSource { chunks, current: None, used: 0, failure: None, read_bytes: &read_bytes, progress };
        let consumed = consume(&mut chunks).and_then(|value| chunks.drain().map(|()| value));
        // An error of the stream explains the parser's error about it.
        let failure = chunks.failure.take();
        drop(chunks);
        let digest = reader.join();
        let diff_id = hasher.join();
        if let (Some(expected), Ok(Some(actual))) = (expected, &digest)
            && expected != actual
        {
            return Err(LayerError::Digest { expected: *expected, actual: *actual });
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        let value = consumed?;
        match (digest, diff_id) {
            (Ok(Some(_)), Ok(diff_id)) => Ok((value, diff_id)),
            _ => Err(LayerError::Tar("reading it failed".to_owned(), None)),
        }
    })
}

/// The reading thread. `None` after an error, which goes to the parser; with `verify` an error in the content does not
/// keep it from reading on for the digest.
fn produce(
    source: CountingHash<'_, impl Read>,
    verify: bool,
    max_bytes: u64,
    to_parser: &SyncSender<Result<Chunk, LayerError>>,
    to_hasher: &SyncSender<Chunk>,
) -> Option<Digest> {
    let mut source = BufReader::with_capacity(128 << 10, source);
    if let Err(error) = produce_chunks(&mut source, max_bytes, to_parser, to_hasher) {
        let (whole, error) = match if verify { io::copy(&mut source, &mut io::sink()) } else { Ok(0) } {
            Ok(_) => (verify, error),
            Err(broken) => (false, read_error(broken)),
        };
        let _ = to_parser.send(Err(error));
        return whole.then(|| Digest::finish(source.into_inner().hasher));
    }
    // What follows the compressed stream belongs to the blob all the same.
    match io::copy(&mut source, &mut io::sink()) {
        Ok(_) => Some(Digest::finish(source.into_inner().hasher)),
        Err(error) => {
            let _ = to_parser.send(Err(read_error(error)));
            None
        }
    }
}

fn produce_chunks(
    source: &mut impl BufRead,
    max_bytes: u64,
    to_parser: &SyncSender<Result<Chunk, LayerError>>,
    to_hasher: &SyncSender<Chunk>,
) -> Result<(), LayerError> {
    let start = peek(source).map_err(read_error)?;
    let compression = Compression::detect(&start)?;
    let mut decoder = compression.decoder(start.as_slice().chain(source)).map_err(read_error)?;
    let mut total = 0_u64;
    loop {
        let mut chunk = Vec::with_capacity(usize::try_from(CHUNK_BYTES).unwrap_or_default());
        let count = decoder.by_ref().take(CHUNK_BYTES).read_to_end(&mut chunk).map_err(read_error)?;
        total += count as u64;
        if total > max_bytes {
            return Err(LayerError::Limit { what: "bytes when uncompressed", limit: max_bytes });
        }
        if count == 0 {
            return Ok(());
        }
        let chunk = Arc::new(chunk);
        if to_parser.send(Ok(Arc::clone(&chunk))).is_err() || to_hasher.send(chunk).is_err() {
            // The parser has its reason and reports it.
            return Err(LayerError::Tar("nobody wants more".to_owned(), None));
        }
    }
}

/// Takes the first bytes, fewer at the end of the stream.
fn peek(source: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    source.take(MAGIC_BYTES as u64).read_to_end(&mut start)?;
    Ok(start)
}

fn read_error(error: io::Error) -> LayerError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => LayerError::Tar("it is truncated".to_owned(), None),
        _ => LayerError::Tar("cannot read or decompress it".to_owned(), Some(error)),
    }
}

/// Hashes and counts what passes.
struct CountingHash<'a, R> {
    inner: R,
    hasher: Sha256,
    count: &'a AtomicU64,
}

impl<R: Read> Read for CountingHash<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        self.hasher.update(out.get(..count).unwrap_or_default());
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// The uncompressed stream, in the reading thread's buffers.
pub(super) struct ChunkSource<'a> {
    chunks: Receiver<Result<Chunk, LayerError>>,
    current: Option<Chunk>,
    used: usize,
    failure: Option<LayerError>,
    read_bytes: &'a AtomicU64,
    progress: &'a mut dyn FnMut(u64),
}

impl ChunkSource<'_> {
    /// Reads to the end, so that the hashes cover everything.
    fn drain(&mut self) -> Result<(), LayerError> {
        loop {
            let count = self.fill_buf().map_err(read_error)?.len();
            if count == 0 {
                return Ok(());
            }
            self.consume(count);
        }
    }
}

impl Read for ChunkSource<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(out)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for ChunkSource<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.as_ref().is_none_or(|chunk| self.used >= chunk.len()) {
            if self.failure.is_some() {
                return Err(io::ErrorKind::Other.into());
            }
            self.used = 0;
            match self.chunks.recv() {
                Ok(Ok(chunk)) => {
                    self.current = Some(chunk);
                    (self.progress)(self.read_bytes.load(Ordering::Relaxed));
                }
                Ok(Err(failure)) => {
                    self.current = None;
                    self.failure = Some(failure);
                }
                Err(_) => {
                    self.current = None;
                    return Ok(&[]);
                }
            }
        }
        Ok(self.current.as_ref().and_then(|chunk| chunk.get(self.used..)).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.used += amount;
    }
}

impl Source for ChunkSource<'_> {}
