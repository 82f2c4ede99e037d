//! What a tar is read from.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

/// A buffered stream that can skip.
pub trait Source: BufRead {
    /// Passes over so many bytes.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when the stream ends before.
    fn skip(&mut self, mut bytes: u64) -> io::Result<()> {
        while bytes > 0 {
            let available = self.fill_buf()?.len();
            if available == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let step = usize::try_from(bytes).unwrap_or(usize::MAX).min(available);
            self.consume(step);
            bytes -= step as u64;
        }
        Ok(())
    }
}

impl Source for &[u8] {}

impl<R: Read> Source for BufReader<R> {}

impl<S: Source + ?Sized> Source for &mut S {
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        (**self).skip(bytes)
    }
}

/// A file, in which skipping costs nothing.
pub struct SeekSource {
    file: BufReader<File>,
    rest_bytes: u64,
}

impl SeekSource {
    /// From the file's current position, which must be its start.
    ///
    /// # Errors
    /// The file has no length.
    pub fn new(file: File) -> io::Result<Self> {
        let rest_bytes = file.metadata()?.len();
        Ok(Self { file: BufReader::with_capacity(16 << 10, file), rest_bytes })
    }
}

impl Read for SeekSource {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(out)?;
        self.rest_bytes = self.rest_bytes.saturating_sub(count as u64);
        Ok(count)
    }
}

impl BufRead for SeekSource {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.file.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.rest_bytes = self.rest_bytes.saturating_sub(amount as u64);
        self.file.consume(amount);
    }
}

impl Source for SeekSource {
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let distance = i64::try_from(bytes).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        if bytes > self.rest_bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.rest_bytes -= bytes;
        self.file.seek_relative(distance)
    }
}
