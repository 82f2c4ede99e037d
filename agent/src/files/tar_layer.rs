//! The changes as a layer (OCI image-spec layer.md): what is in the upper directory, and whiteouts.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use holm_archive::{Descend, Node, Packer, Walk};

use super::changes::is_opaque;
use super::layers::look;

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE_MARKER: &[u8] = b".wh..wh..opq";

/// Writes the layer.
pub(super) fn write(
    upper: &Node,
    image: Option<&Node>,
    opaque: &str,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut packer = Packer::new(out);
    let mut walk = Walk::below(upper, b"")?;
    while walk.step(|found| {
        let parent_bytes = found.path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let (parent, name) = found.path.split_at_checked(parent_bytes).unwrap_or_default();
        if found.node.is_whiteout() {
            let path = Path::new(OsStr::from_bytes(found.path));
            if image.is_some_and(|image| look(image, path).is_some()) {
                packer.writer().marker(&[parent, WHITEOUT, name].concat())?;
            }
        } else if name.starts_with(WHITEOUT) {
            return Err(io::Error::other(format!(
                "{}: a layer cannot hold names that begin with .wh.",
                String::from_utf8_lossy(found.path)
            )));
        } else {
            packer.add(found.node, found.path)?;
            if found.node.is_directory() && is_opaque(found.node, opaque)? {
                packer.writer().marker(&[found.path, b"/", OPAQUE_MARKER].concat())?;
            }
        }
        Ok(Descend::Into)
    })? {}
    packer.finish().map(drop)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use holm_archive::{Kind, TarReader};
    use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, setxattr};

    use super::super::layers::open;
    use super::*;

    const USER_OPAQUE: &str = "user.overlay.opaque";

    fn members(upper: &Path, image: &Path) -> io::Result<Vec<(String, Kind)>> {
        let mut tar = Vec::new();
        write(&open(upper).unwrap(), Some(&open(image).unwrap()), USER_OPAQUE, &mut tar)?;
        let mut reader = TarReader::new(tar.as_slice());
        let mut members = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            members.push((String::from_utf8(entry.path).unwrap(), entry.kind));
        }
        Ok(members)
    }

    #[test]
    fn a_layer_holds_changes_and_whiteouts() {
        let directory = tempfile::tempdir().unwrap();
        let (image, upper) = (directory.path().join("image"), directory.path().join("upper"));
        fs::create_dir_all(image.join("etc")).unwrap();
        fs::write(image.join("etc/gone"), "").unwrap();
        fs::create_dir_all(upper.join("etc")).unwrap();
        fs::create_dir_all(upper.join("again")).unwrap();
        let whiteout = |path: &str| {
            mknodat(CWD, upper.join(path), FileType::CharacterDevice, Mode::empty(), 0).unwrap();
        };
        whiteout("etc/gone");
        whiteout("etc/never");
        fs::write(upper.join("etc/new"), "x").unwrap();
        fs::hard_link(upper.join("etc/new"), upper.join("etc/same")).unwrap();
        setxattr(upper.join("again"), USER_OPAQUE, b"y", XattrFlags::empty()).unwrap();
        let found = members(&upper, &image).unwrap();
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["again/", "again/.wh..wh..opq", "etc/", "etc/.wh.gone", "etc/new", "etc/same"]);
        assert_eq!(found[5].1, Kind::HardLink(b"etc/new".to_vec()));
        fs::write(upper.join("etc/.wh.trick"), "").unwrap();
        assert!(members(&upper, &image).is_err(), "would delete a file of the image");
    }
}
