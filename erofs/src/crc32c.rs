//! CRC-32C as the superblock's checksum uses it: reflected, starting from all ones, not inverted at the end.

/// Of one block's worth of bytes; bit by bit, for it runs once per image.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value_of_the_polynomial() {
        assert_eq!(!crc32c(b"123456789"), 0xe306_9283);
    }
}
