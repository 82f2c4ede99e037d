//! The 512-byte header: fields at fixed offsets, which of them exist depends on the format.

use super::{BLOCK_BYTES, TarError};

/// A header block whose checksum was right.
pub(super) struct Header {
    block: [u8; BLOCK_BYTES],
    position: u64,
}

/// By magic and version (bytes 257 to 264) and star's trailer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    V7,
    /// ustar and PAX.
    Ustar,
    Star,
    Gnu,
}

impl Header {
    /// Checks a block that is not all zeroes. `position` is for messages.
    pub(super) fn parse(block: [u8; BLOCK_BYTES], position: u64) -> Result<Self, TarError> {
        let stored = numeric(&block[148..156]).ok_or(TarError::Checksum(position))?;
        let sums = block.iter().enumerate().fold((0_i64, 0_i64), |(unsigned, signed), (index, byte)| {
            let byte = if (148..156).contains(&index) { b' ' } else { *byte };
            (unsigned + i64::from(byte), signed + i64::from(byte.cast_signed()))
        });
        if stored != sums.0 && stored != sums.1 {
            return Err(TarError::Checksum(position));
        }
        Ok(Self { block, position })
    }

    fn format(&self) -> Format {
        match (&self.block[257..263], &self.block[263..265]) {
            (b"ustar\0", _) if &self.block[508..512] == b"tar\0" => Format::Star,
            (b"ustar\0", _) => Format::Ustar,
            (b"ustar ", b" \0") => Format::Gnu,
            _ => Format::V7,
        }
    }

    pub(super) fn is_gnu(&self) -> bool {
        self.format() == Format::Gnu
    }

    /// The type flag.
    pub(super) fn kind(&self) -> u8 {
        self.block[156]
    }

    /// With ustar's prefix.
    pub(super) fn path(&self) -> Vec<u8> {
        let name = text(&self.block[..100]);
        let prefix = match self.format() {
            Format::Ustar => text(&self.block[345..500]),
            Format::Star => text(&self.block[345..476]),
            Format::V7 | Format::Gnu => b"",
        };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub(super) fn link(&self) -> Vec<u8> {
        text(&self.block[157..257]).to_vec()
    }

    pub(super) fn mode(&self) -> Result<u64, TarError> {
        self.unsigned("mode", &self.block[100..108])
    }

    pub(super) fn uid(&self) -> Result<u64, TarError> {
        self.unsigned("uid", &self.block[108..116])
    }

    pub(super) fn gid(&self) -> Result<u64, TarError> {
        self.unsigned("gid", &self.block[116..124])
    }

    pub(super) fn size_bytes(&self) -> Result<u64, TarError> {
        self.unsigned("size", &self.block[124..136])
    }

    /// Seconds since 1970.
    pub(super) fn mtime(&self) -> Result<i64, TarError> {
        numeric(&self.block[136..148]).ok_or(self.bad("mtime"))
    }

    /// Major and minor number; v7 has none.
    pub(super) fn device(&self) -> Result<(u64, u64), TarError> {
        if self.format() == Format::V7 {
            return Ok((0, 0));
        }
        let major = self.unsigned("device", &self.block[329..337])?;
        Ok((major, self.unsigned("device", &self.block[337..345])?))
    }

    /// Old GNU sparse file: its real size, the bytes of its map's first part, and whether more of the map follows.
    pub(super) fn gnu_sparse(&self) -> Result<(u64, &[u8], bool), TarError> {
        Ok((
            self.unsigned("sparse size", &self.block[483..495])?,
            &self.block[386..482],
            self.block[482] != 0,
        ))
    }

    fn unsigned(&self, field: &'static str, bytes: &[u8]) -> Result<u64, TarError> {
        numeric(bytes).and_then(|number| u64::try_from(number).ok()).ok_or(self.bad(field))
    }

    fn bad(&self, field: &'static str) -> TarError {
        TarError::Field { field, position: self.position }
    }
}

/// Up to the first NUL.
fn text(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Octal digits between spaces and NULs (nothing is zero), or GNU's base-256: big-endian two's complement with the
/// topmost bit set as a mark.
pub(super) fn numeric(bytes: &[u8]) -> Option<i64> {
    let (first, rest) = bytes.split_first()?;
    if first & 0x80 != 0 {
        let negative = first & 0x40 != 0;
        // Without the mark; the sign goes on to the left.
        let head = i128::from(if negative { *first | 0x80 } else { *first & 0x7f }.cast_signed());
        let number = rest
            .iter()
            .try_fold(head, |sum, byte| sum.checked_mul(256).map(|sum| sum | i128::from(*byte)))?;
        return i64::try_from(number).ok();
    }
    let blank = |byte: &u8| matches!(byte, b' ' | 0);
    let start = bytes.iter().position(|byte| !blank(byte));
    let Some(start) = start else { return Some(0) };
    let end = bytes.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    bytes.get(start..end)?.iter().take_while(|byte| **byte != 0).try_fold(0_i64, |sum, byte| {
        let digit = char::from(*byte).to_digit(8)?;
        sum.checked_mul(8)?.checked_add(i64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_octal_and_base_256() {
        assert_eq!(numeric(b"0000644\0"), Some(0o644));
        assert_eq!(numeric(b"   644 \0"), Some(0o644));
        assert_eq!(numeric(b"\0\0\0\0"), Some(0));
        assert_eq!(numeric(b"12\x003"), Some(0o12));
        assert_eq!(numeric(b"0000648\0"), None);
        assert_eq!(numeric(b"-1\0"), None);
        assert_eq!(numeric(b"\x80\0\0\0\0\0\0\x02\0\0\0\0"), Some(8 << 30));
        assert_eq!(numeric(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), Some(-1));
        assert_eq!(numeric(b"\xff\xff\xff\xff\xff\xff\xff\xfe"), Some(-2));
        assert_eq!(numeric(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"), Some(i64::MAX));
        assert_eq!(numeric(b"\x80\0\0\0\x80\0\0\0\0\0\0\0"), None);
        assert_eq!(numeric(b"\x80\x01\0\0\0\0\0\0\0\0\0\0"), None);
    }
}
