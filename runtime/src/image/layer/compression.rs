//! Compression, told by the first bytes: media types are often wrong, and archives carry none.

use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;

use super::LayerError;

/// How many first bytes [`Compression::detect`] wants.
pub(in crate::image) const MAGIC_BYTES: usize = 6;
/// Largest zstd window: 128 MiB, the decoder's own default for untrusted input.
const MAX_ZSTD_WINDOW_LOG: u32 = 27;

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::image) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// By magic number.
    pub(in crate::image) fn detect(start: &[u8]) -> Result<Self, LayerError> {
        match start {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Self::Zstd),
            [b'B', b'Z', b'h', ..] => Err(LayerError::Compression("bzip2")),
            [0xfd, b'7', b'z', b'X', b'Z', 0] => Err(LayerError::Compression("xz")),
            _ => Ok(Self::None),
        }
    }

    /// The uncompressed stream.
    pub(in crate::image) fn decoder<'a>(self, source: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::None => Box::new(source),
            Self::Gzip => Box::new(MultiGzDecoder::new(source)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
                decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
        })
    }
}
