//! The `tree` file of a layer, little-endian:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `HOLMLAYR` |
//! | 8 | 4 | version, [`VERSION`] |
//! | 12 | 32 | sha256 of the rest |
//! | 44 | | a [`LayerTree`] in postcard |
//!
//! A file of another version is made again from the image; there is no conversion.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use super::LayerError;
use super::tree::LayerTree;
use crate::image::Digest;

const MAGIC: &[u8; 8] = b"HOLMLAYR";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 44;

/// Writes and syncs a new file.
pub(in crate::image) fn write(path: &Path, tree: &LayerTree) -> Result<(), LayerError> {
    let payload = postcard::to_stdvec(tree).map_err(|_| LayerError::Damaged("it cannot be encoded"))?;
    let mut file = File::create_new(path).map_err(LayerError::write)?;
    let header = [MAGIC.as_slice(), &VERSION.to_le_bytes(), Digest::of(&payload).bytes()].concat();
    file.write_all(&header).and_then(|()| file.write_all(&payload)).map_err(LayerError::write)?;
    file.sync_all().map_err(LayerError::write)
}

/// Reads a file and checks that it is whole.
pub(in crate::image) fn read(path: &Path) -> Result<LayerTree, LayerError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(|error| LayerError::Store("read", error))?;
    let (header, payload) =
        bytes.split_at_checked(HEADER_BYTES).ok_or(LayerError::Damaged("its tree is truncated"))?;
    if header.get(..8) != Some(MAGIC) {
        return Err(LayerError::Damaged("its tree is something else"));
    }
    if header.get(8..12) != Some(&VERSION.to_le_bytes()) {
        return Err(LayerError::Damaged("its tree is of another version"));
    }
    if header.get(12..) != Some(Digest::of(payload).bytes()) {
        return Err(LayerError::Damaged("its tree has another checksum"));
    }
    let tree: LayerTree =
        postcard::from_bytes(payload).map_err(|_| LayerError::Damaged("its tree cannot be decoded"))?;
    match tree.directory(LayerTree::ROOT) {
        Some(_) => Ok(tree),
        None => Err(LayerError::Damaged("its tree has no root")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn any_damage_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tree");
        write(&path, &LayerTree::empty()).unwrap();
        assert_eq!(read(&path).unwrap(), LayerTree::empty());
        let whole = fs::read(&path).unwrap();
        for index in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[index] ^= 1;
            fs::write(&path, &bytes).unwrap();
            assert!(matches!(read(&path), Err(LayerError::Damaged(_))), "byte {index}");
            fs::write(&path, &whole[..index]).unwrap();
            assert!(matches!(read(&path), Err(LayerError::Damaged(_))), "length {index}");
        }
    }
}
