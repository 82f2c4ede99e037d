//! Where the blobs of an image come from: an archive, a registry.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use super::plan::PlannedLayer;
use crate::image::{Digest, ImageError};

/// Blobs by their digests. Documents are checked against these, layers are not yet.
pub(in crate::image) trait BlobSource: Sync {
    /// What messages call a blob.
    fn name_of(&self, digest: &Digest) -> String;

    /// A manifest or index.
    fn manifest(&self, digest: &Digest) -> Result<Vec<u8>, ImageError>;

    /// A config.
    fn config(&self, digest: &Digest) -> Result<Vec<u8>, ImageError>;

    /// A layer's bytes, and how many there are.
    fn layer<'a>(&'a self, layer: &PlannedLayer) -> Result<(Box<dyn Read + Send + 'a>, u64), ImageError>;

    /// How many layers it pays to read at a time.
    fn parallel_layers(&self) -> usize;
}

/// A stream that ends with an error once it is told to.
pub(super) struct Stoppable<'a, R> {
    pub(super) inner: R,
    pub(super) stop: &'a AtomicBool,
}

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("another layer failed"));
        }
        self.inner.read(out)
    }
}
