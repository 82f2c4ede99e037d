//! A writer that hashes and counts what it passes on.

use std::io::{self, Write};

use sha2::{Digest as _, Sha256};

use super::Digest;

pub(super) struct Hashed<W> {
    inner: W,
    hasher: Sha256,
    bytes: u64,
}

impl<W: Write> Hashed<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, hasher: Sha256::new(), bytes: 0 }
    }

    pub(super) fn inner(&self) -> &W {
        &self.inner
    }

    /// The writer, the digest and the number of bytes of what went to it.
    pub(super) fn finish(self) -> (W, Digest, u64) {
        (self.inner, Digest::finish(self.hasher), self.bytes)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(bytes.get(..count).unwrap_or_default());
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
