//! DNS messages on a stream: each after its length (RFC 1035 section 4.2.2).

use std::io::{self, Read, Write};

/// The next message; `None` at the end.
pub(super) fn read(stream: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 2];
    match stream.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message)?;
    Ok(Some(message))
}

/// Writes one in one piece.
pub(super) fn write(stream: &mut impl Write, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), message].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_as_they_were_until_the_end() {
        let mut stream = Vec::new();
        write(&mut stream, b"one").unwrap();
        write(&mut stream, b"").unwrap();
        let mut stream = stream.as_slice();
        assert_eq!(read(&mut stream).unwrap().unwrap(), b"one");
        assert_eq!(read(&mut stream).unwrap().unwrap(), b"");
        assert_eq!(read(&mut stream).unwrap(), None);
        assert!(read(&mut &b"\0\x05abc"[..]).is_err());
        assert!(write(&mut Vec::new(), &vec![0; 1 << 16]).is_err());
    }
}
