//! The state file: a header, and the state in postcard's form.
//!
//! ```text
//!   8 bytes   "HOLM-VM" and a zero
//!   4 bytes   version, little-endian
//!   4 bytes   length of what follows the header, little-endian
//!   32 bytes  SHA-256 of all bytes before and after this field
//!   ...       the state
//! ```

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::Template;

const MAGIC: [u8; 8] = *b"HOLM-VM\0";
/// Goes up with each change of [`Template`] or of anything in it.
const VERSION: u32 = 4;
const HEADER_BYTES: usize = 48;
const SUM_AT: usize = 16;
/// A state of 32 vCPUs is a tenth of this.
const MAX_BYTES: usize = 4 << 20;

/// Why a state file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It cannot be read.
    #[error("cannot read the state")]
    Read(#[source] io::Error),
    /// It is no state file, or one that was cut off or added to.
    #[error("the state is no whole state file")]
    Shape,
    /// Written by another version.
    #[error("the state has version {0}, not {VERSION}")]
    Version(u32),
    /// Some bit of it changed.
    #[error("the state's checksum is wrong")]
    Checksum,
    /// Sound, and yet not what is expected.
    #[error("the state cannot be understood")]
    Content(#[source] postcard::Error),
    /// More than is ever read.
    #[error("the state is larger than {MAX_BYTES} bytes")]
    TooLarge,
}

/// The state as bytes.
///
/// # Errors
/// It is too large.
pub fn encode(template: &Template) -> Result<Vec<u8>, DocumentError> {
    let body = postcard::to_stdvec(template).map_err(DocumentError::Content)?;
    if body.len() > MAX_BYTES - HEADER_BYTES {
        return Err(DocumentError::TooLarge);
    }
    let length = u32::try_from(body.len()).map_err(|_| DocumentError::TooLarge)?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    let sum = checksum(&bytes, &body);
    bytes.extend(sum);
    bytes.extend(body);
    Ok(bytes)
}

/// Bytes as the state, if every bit of them is as it was written.
///
/// # Errors
/// They are not.
pub fn decode(bytes: &[u8]) -> Result<Template, DocumentError> {
    let (header, body) = bytes.split_at_checked(HEADER_BYTES).ok_or(DocumentError::Shape)?;
    let (start, sum) = header.split_at_checked(SUM_AT).ok_or(DocumentError::Shape)?;
    let number = |at: usize| {
        let bytes = start.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_le_bytes).ok_or(DocumentError::Shape)
    };
    if !start.starts_with(&MAGIC) {
        return Err(DocumentError::Shape);
    }
    match number(8)? {
        VERSION => {}
        other => return Err(DocumentError::Version(other)),
    }
    if usize::try_from(number(12)?) != Ok(body.len()) {
        return Err(DocumentError::Shape);
    }
    if checksum(start, body) != *sum {
        return Err(DocumentError::Checksum);
    }
    match postcard::take_from_bytes(body).map_err(DocumentError::Content)? {
        (template, []) => Ok(template),
        _ => Err(DocumentError::Shape),
    }
}

/// Reads a state file.
///
/// # Errors
/// It cannot be read, or is of no use.
pub fn read(path: &Path) -> Result<Template, DocumentError> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_BYTES + 1).unwrap_or(u64::MAX);
    let file = File::open(path).map_err(DocumentError::Read)?;
    file.take(limit).read_to_end(&mut bytes).map_err(DocumentError::Read)?;
    if bytes.len() > MAX_BYTES {
        return Err(DocumentError::TooLarge);
    }
    decode(&bytes)
}

fn checksum(start: &[u8], body: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(start).chain_update(body).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::{MemoryFile, Run, VmState};

    fn template() -> Template {
        let runs = vec![Run { start: 0x1000, length_bytes: 0x3000 }];
        Template {
            memory_mib: 64,
            memory: MemoryFile { runs, sha256: [7; 32] },
            vcpus: Vec::new(),
            vm: VmState { interrupt_controllers: Default::default(), clock: Default::default() },
            devices: Vec::new(),
        }
    }

    #[test]
    fn a_template_survives_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        std::fs::write(&path, encode(&template()).unwrap()).unwrap();
        assert_eq!(encode(&read(&path).unwrap()).unwrap(), encode(&template()).unwrap());
    }

    #[test]
    fn each_flipped_bit_is_refused() {
        let bytes = encode(&template()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn what_is_cut_off_or_added_to_is_refused() {
        let bytes = encode(&template()).unwrap();
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "{length} bytes");
        }
        assert!(matches!(decode(&[&bytes[..], b"x"].concat()), Err(DocumentError::Shape)));
    }

    #[test]
    fn another_version_is_told() {
        let mut bytes = encode(&template()).unwrap();
        let other = VERSION + 1;
        bytes[8..12].copy_from_slice(&other.to_le_bytes());
        assert!(matches!(decode(&bytes), Err(DocumentError::Version(version)) if version == other));
    }
}
