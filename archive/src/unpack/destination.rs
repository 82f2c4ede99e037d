//! Where an archive is unpacked: a directory, and how far its members may lead.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, openat2};
use rustix::io::{Errno, Result};

/// A directory that members are made in.
#[derive(Debug)]
pub struct Destination {
    root: OwnedFd,
    path: PathBuf,
    resolve: ResolveFlags,
}

impl Destination {
    /// The directory itself: no symbolic link in it is followed.
    #[must_use]
    pub fn beneath(directory: OwnedFd) -> Self {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        Self { root: directory, path: PathBuf::from("."), resolve }
    }

    /// The directory `path` of a tree: symbolic links lead to where they lead in the tree, as after chroot(2).
    #[must_use]
    pub fn in_root(root: OwnedFd, path: &Path) -> Self {
        let path = Path::new(".").join(path.strip_prefix("/").unwrap_or(path));
        Self { root, path, resolve: ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS }
    }

    /// Opens a directory; `path` is relative and clean.
    pub(super) fn directory(&self, path: &Path, flags: OFlags) -> Result<OwnedFd> {
        let flags = flags | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat2(&self.root, self.path.join(path), flags, Mode::empty(), self.resolve)
    }

    /// The directory that a member lies in, made with those above it when missing, and the member's name.
    pub(super) fn parent(&self, path: &Path) -> Result<(OwnedFd, OsString)> {
        let name = path.file_name().ok_or(Errno::ISDIR)?.to_owned();
        let parent = path.parent().unwrap_or(Path::new(""));
        match self.directory(parent, OFlags::PATH) {
            Err(Errno::NOENT) => {}
            found => return Ok((found?, name)),
        }
        let mut made = PathBuf::new();
        for part in parent {
            let above = self.directory(&made, OFlags::PATH)?;
            match mkdirat(&above, part, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => made.push(part),
                Err(error) => return Err(error),
            }
        }
        Ok((self.directory(parent, OFlags::PATH)?, name))
    }
}

/// A member's path without empty parts and `.`; `None` if it leads upward. Empty for the destination itself.
pub(super) fn clean(path: &[u8]) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return None,
            _ => clean.push(OsStr::from_bytes(part)),
        }
    }
    Some(clean)
}
