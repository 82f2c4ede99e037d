//! What a container changed: overlayfs's upper directory against the image (Linux Documentation/filesystems/overlayfs.rst).
//!
//! A character device 0:0 hides a name of the image; a directory with the opaque attribute hides all of the image's in it.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use holm_archive::{Descend, Node, Walk};
use rustix::fs::fgetxattr;

use super::layers::look;

/// The attribute of an opaque directory.
pub(super) const OPAQUE: &str = "trusted.overlay.opaque";

/// As `docker diff` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChangeKind {
    Added,
    Changed,
    Deleted,
}

impl ChangeKind {
    pub(super) fn letter(self) -> u8 {
        match self {
            Self::Added => b'A',
            Self::Changed => b'C',
            Self::Deleted => b'D',
        }
    }
}

/// Whether a directory of the upper layer hides what the image has in it.
pub(super) fn is_opaque(directory: &Node, attribute: &str) -> io::Result<bool> {
    let mut value = [0_u8; 8];
    let length = fgetxattr(directory.readable()?.as_fd(), attribute, &mut value[..]);
    Ok(length == Ok(1) && value.starts_with(b"y"))
}

/// Lists what differs from the image: paths relative to the root, parents first. A directory counts as changed if its
/// owner or mode is another, or if something in it is listed.
pub(super) fn list(
    upper: &Node,
    image: Option<&Node>,
    opaque: &str,
    mut report: impl FnMut(ChangeKind, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut walk = Walk::below(upper, b"")?;
    // Directories on the way that have not changed themselves, and whether each directory on the way hides the image's.
    let mut pending: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut hiding: Vec<bool> = Vec::new();
    while walk.step(|found| {
        pending.retain(|(depth, _)| *depth < found.depth);
        hiding.truncate(found.depth);
        let path = Path::new(OsStr::from_bytes(found.path));
        let before = image.and_then(|image| look(image, path));
        let mut say = |kind, path: &[u8]| {
            for (_, parent) in pending.drain(..) {
                report(ChangeKind::Changed, &parent)?;
            }
            report(kind, path)
        };
        match before {
            _ if found.node.is_whiteout() => {
                // One that hides nothing is left from a name that only the container had.
                if before.is_some() {
                    say(ChangeKind::Deleted, found.path)?;
                }
            }
            None => say(ChangeKind::Added, found.path)?,
            Some(before) if found.node.is_directory() && before.is_directory() => {
                let hides = hiding.last() == Some(&true) || is_opaque(found.node, opaque)?;
                if is_same(found.node, &before) {
                    pending.push((found.depth, found.path.to_vec()));
                } else {
                    say(ChangeKind::Changed, found.path)?;
                }
                if hides {
                    report_hidden(found.node, &before, found.path, &mut |path| {
                        for (_, parent) in pending.drain(..) {
                            report(ChangeKind::Changed, &parent)?;
                        }
                        report(ChangeKind::Deleted, path)
                    })?;
                }
                hiding.push(hides);
            }
            Some(_) => say(ChangeKind::Changed, found.path)?,
        }
        // Below what is new, or took another thing's place, nothing of the image's is to be hidden.
        if hiding.len() <= found.depth {
            hiding.push(false);
        }
        Ok::<_, io::Error>(Descend::Into)
    })? {}
    Ok(())
}

/// What of the image's directory has no counterpart in the opaque one over it.
fn report_hidden(
    over: &Node,
    hidden: &Node,
    path: &[u8],
    report: &mut impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let over = over.readable()?;
    let mut walk = Walk::below(hidden, path)?;
    while walk.step(|found| {
        let name = found.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        if Node::open(over.as_fd(), OsStr::from_bytes(name)).is_err() {
            report(found.path)?;
        }
        Ok::<_, io::Error>(Descend::Past)
    })? {}
    Ok(())
}

fn is_same(directory: &Node, before: &Node) -> bool {
    let facts = |node: &Node| (node.stat().st_mode, node.stat().st_uid, node.stat().st_gid);
    facts(directory) == facts(before)
}

/// The sum of the sizes of all regular files, each counted once, in bytes.
pub(super) fn measure(upper: &Node) -> io::Result<u64> {
    let mut counted = HashSet::new();
    let mut bytes = 0_u64;
    let mut walk = Walk::below(upper, b"")?;
    while walk.step(|found| {
        let stat = found.node.stat();
        let is_file = found.node.file_type() == rustix::fs::FileType::RegularFile;
        if is_file && (stat.st_nlink == 1 || counted.insert(stat.st_ino)) {
            bytes = bytes.saturating_add(u64::try_from(stat.st_size).unwrap_or_default());
        }
        Ok::<_, io::Error>(Descend::Into)
    })? {}
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, setxattr};

    use super::super::layers::open;
    use super::*;

    /// What overlayfs takes for the same where it was mounted by a user.
    const USER_OPAQUE: &str = "user.overlay.opaque";

    struct Trees {
        _directory: tempfile::TempDir,
        image: PathBuf,
        upper: PathBuf,
    }

    fn trees() -> Trees {
        let directory = tempfile::tempdir().unwrap();
        let (image, upper) = (directory.path().join("image"), directory.path().join("upper"));
        for path in ["etc/deep", "gone", "opaque/kept/old", "opaque/lost"] {
            fs::create_dir_all(image.join(path)).unwrap();
        }
        for path in ["etc/passwd", "etc/deep/file", "gone/file", "opaque/file", "type"] {
            fs::write(image.join(path), "image").unwrap();
        }
        fs::create_dir(&upper).unwrap();
        Trees { _directory: directory, image, upper }
    }

    impl Trees {
        fn whiteout(&self, path: &str) {
            mknodat(CWD, self.upper.join(path), FileType::CharacterDevice, Mode::empty(), 0).unwrap();
        }

        fn list(&self) -> Vec<String> {
            let mut lines = Vec::new();
            let image = open(&self.image).unwrap();
            list(&open(&self.upper).unwrap(), Some(&image), USER_OPAQUE, |kind, path| {
                lines.push(format!("{} {}", char::from(kind.letter()), String::from_utf8_lossy(path)));
                Ok(())
            })
            .unwrap();
            lines
        }
    }

    #[test]
    fn an_untouched_layer_has_no_changes() {
        let trees = trees();
        fs::create_dir_all(trees.upper.join("etc/deep")).unwrap();
        assert!(trees.list().is_empty(), "{:?}", trees.list());
    }

    #[test]
    fn parents_of_changes_are_changed() {
        let trees = trees();
        fs::create_dir_all(trees.upper.join("etc/deep")).unwrap();
        fs::create_dir_all(trees.upper.join("new/sub")).unwrap();
        fs::write(trees.upper.join("etc/deep/file"), "other").unwrap();
        fs::write(trees.upper.join("etc/zz"), "new").unwrap();
        trees.whiteout("gone");
        trees.whiteout("never-there");
        fs::create_dir(trees.upper.join("type")).unwrap();
        assert_eq!(
            trees.list(),
            ["C etc", "C etc/deep", "C etc/deep/file", "A etc/zz", "D gone", "A new", "A new/sub", "C type"]
        );
        assert_eq!(measure(&open(&trees.upper).unwrap()).unwrap(), 8);
    }

    #[test]
    fn a_directory_with_another_mode_is_changed() {
        let trees = trees();
        fs::create_dir_all(trees.upper.join("etc")).unwrap();
        fs::set_permissions(trees.upper.join("etc"), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(trees.list(), ["C etc"]);
    }

    #[test]
    fn what_an_opaque_directory_hides_is_deleted() {
        let trees = trees();
        fs::create_dir_all(trees.upper.join("opaque/kept")).unwrap();
        fs::write(trees.upper.join("opaque/kept/new"), "").unwrap();
        setxattr(trees.upper.join("opaque"), USER_OPAQUE, b"y", XattrFlags::empty()).unwrap();
        assert_eq!(
            trees.list(),
            [
                "C opaque",
                "D opaque/file",
                "D opaque/lost",
                "C opaque/kept",
                "D opaque/kept/old",
                "A opaque/kept/new"
            ]
        );
    }
}
