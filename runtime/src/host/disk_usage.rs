//! How much of a disk files take.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What stat(2) counts blocks in.
const STAT_BLOCK_BYTES: u64 = 512;

/// Bytes on disk of a file, or of a directory and all below it; holes of sparse files take none. What vanishes meanwhile or
/// cannot be looked at counts as nothing.
#[must_use]
pub fn disk_usage_bytes(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    let own_bytes = metadata.blocks().saturating_mul(STAT_BLOCK_BYTES);
    if !metadata.is_dir() {
        return own_bytes;
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| disk_usage_bytes(&entry.path())).fold(own_bytes, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_take_no_space_and_what_is_not_there_neither() {
        let dir = tempfile::tempdir().unwrap();
        let empty_bytes = disk_usage_bytes(dir.path());
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub/full"), vec![1; 100_000]).unwrap();
        fs::File::create(dir.path().join("sub/sparse")).unwrap().set_len(1 << 30).unwrap();
        let bytes = disk_usage_bytes(dir.path()) - empty_bytes;
        assert!((100_000..200_000).contains(&bytes), "{bytes}");
        assert_eq!(disk_usage_bytes(&dir.path().join("nothing")), 0);
    }
}
