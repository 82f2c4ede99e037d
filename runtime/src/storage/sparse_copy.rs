//! Copies a sparse file without filling its holes: by reference where the file system can, by extents elsewhere. And tells
//! whether a copy has the same content.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{SeekFrom, copy_file_range, ioctl_ficlone, seek};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

/// A checksum counts blocks of this length in which anything is not zero.
const BLOCK_BYTES: usize = 4096;
/// Read at a time.
const CHUNK_BYTES: u64 = 1 << 20;

/// Copies `from` to `to`, which must not exist; `to` is readable by its owner only.
pub(crate) fn sparse_copy(from: &Path, to: &Path) -> io::Result<()> {
    let source = File::open(from)?;
    let target = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    holm_faults::fault!("storage.copy.begin")?;
    if ioctl_ficlone(&target, &source).is_ok() {
        return Ok(());
    }
    let length = source.metadata()?.len();
    target.set_len(length)?;
    holm_faults::fault!("storage.copy.length")?;
    let mut offset = 0;
    while let Some((start, end)) = next_extent(&source, offset, length)? {
        copy_extent(&source, &target, start, end)?;
        offset = end;
    }
    Ok(())
}

/// The SHA-256, in hexadecimal, of a file's length and of its blocks that are not zero, each behind its offset: the same for every
/// copy, wherever that has its holes.
pub(crate) fn sparse_sum(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut sum = Sha256::new_with_prefix(length.to_le_bytes());
    let mut chunk = vec![0; usize::try_from(CHUNK_BYTES).unwrap_or(BLOCK_BYTES)];
    let mut offset = 0;
    while let Some((start, _)) = next_extent(&file, offset, length)? {
        // The next chunk that has any data, from where the last one ended.
        let start = start / CHUNK_BYTES * CHUNK_BYTES;
        offset = length.min(start + CHUNK_BYTES);
        let bytes = chunk.get_mut(..usize::try_from(offset - start).unwrap_or(0)).unwrap_or_default();
        file.read_exact_at(bytes, start)?;
        for (block, at) in bytes.chunks(BLOCK_BYTES).zip((start..).step_by(BLOCK_BYTES)) {
            if block.iter().any(|byte| *byte != 0) {
                sum.update(at.to_le_bytes());
                sum.update(block);
            }
        }
    }
    Ok(hex::encode(sum.finalize()))
}

/// The next run of data at or after `offset`.
fn next_extent(file: &File, offset: u64, length: u64) -> io::Result<Option<(u64, u64)>> {
    if offset >= length {
        return Ok(None);
    }
    let start = match seek(file, SeekFrom::Data(offset)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(Some((start, seek(file, SeekFrom::Hole(start))?)))
}

fn copy_extent(source: &File, target: &File, start: u64, end: u64) -> io::Result<()> {
    let (mut from, mut to) = (start, start);
    while from < end {
        let left = usize::try_from(end - from).unwrap_or(usize::MAX);
        if copy_file_range(source, Some(&mut from), target, Some(&mut to), left)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileExt, MetadataExt};

    #[test]
    fn data_is_copied_and_holes_stay_holes() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        let file = File::create(&from).unwrap();
        file.set_len(64 << 20).unwrap();
        file.write_all_at(b"head", 0).unwrap();
        file.write_all_at(b"middle", 32 << 20).unwrap();
        sparse_copy(&from, &to).unwrap();
        let copy = File::open(&to).unwrap();
        let mut bytes = [0; 6];
        copy.read_exact_at(&mut bytes, 32 << 20).unwrap();
        assert_eq!(&bytes, b"middle");
        assert_eq!(copy.metadata().unwrap().len(), 64 << 20);
        assert!(copy.metadata().unwrap().blocks() * 512 < 1 << 20);
        assert!(sparse_copy(&from, &to).is_err(), "an existing target is not overwritten");
    }

    #[test]
    fn a_sum_tells_content_and_not_holes() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, filled: &[(&[u8], u64)], length: u64| {
            let path = dir.path().join(name);
            let file = File::create(&path).unwrap();
            file.set_len(length).unwrap();
            for (bytes, at) in filled {
                file.write_all_at(bytes, *at).unwrap();
            }
            sparse_sum(&path).unwrap()
        };
        let (length, zeroes) = ((3 << 20) + 5, vec![0; 2 << 20]);
        let one = file("one", &[(b"x", 5000), (b"y", 3 << 20)], length);
        assert_eq!(file("two", &[(&zeroes, 0), (b"x", 5000), (b"y", 3 << 20)], length), one);
        let otherwise =
            |name: &str, filled: &[(&[u8], u64)], length| assert_ne!(file(name, filled, length), one);
        otherwise("in its block", &[(b"x", 5001), (b"y", 3 << 20)], length);
        otherwise("in another block", &[(b"x", 5000 + 4096), (b"y", 3 << 20)], length);
        otherwise("less", &[(b"x", 5000)], length);
        otherwise("longer", &[(b"x", 5000), (b"y", 3 << 20)], length + 1);
    }
}
