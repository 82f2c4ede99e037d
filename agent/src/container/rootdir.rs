//! A directory tree that may be hostile: the container's root, seen from outside of it.
//!
//! Every look-up is one openat2(2) with RESOLVE_IN_ROOT: symbolic links (absolute ones too) and `..` stay inside, magic
//! links are not followed, and the result is a descriptor that is used from then on (T13, T14 of the threats).

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::Result;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2, readlinkat};
use nix::sys::stat::{FileStat, Mode, fstatat, mkdirat};

/// More symbolic links than this in one path are a loop.
const MAX_LINKS: usize = 40;

/// The root of the tree.
pub(crate) struct RootDir(OwnedFd);

impl RootDir {
    /// Opens the directory that is the root.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        nix::fcntl::open(path, flags, Mode::empty()).map(Self)
    }

    /// The root itself.
    pub(crate) fn descriptor(&self) -> &OwnedFd {
        &self.0
    }

    /// Refers (O_PATH) to what a path names; a final symbolic link is followed, inside.
    pub(crate) fn find(&self, path: &Path) -> Result<OwnedFd> {
        self.open_with(path, OFlag::O_PATH)
    }

    /// Opens what a path names with these flags.
    pub(crate) fn open_with(&self, path: &Path, flags: OFlag) -> Result<OwnedFd> {
        let path = path.strip_prefix("/").unwrap_or(path);
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        openat2(&self.0, path, how)
    }

    /// Refers to a directory, made with all that lead to it when missing (mode 0755).
    ///
    /// A dangling symbolic link on the way gets its target made, as in runc.
    pub(crate) fn make_directories(&self, path: &Path) -> Result<OwnedFd> {
        if let Ok(found) = self.open_with(path, OFlag::O_PATH | OFlag::O_DIRECTORY) {
            return Ok(found);
        }
        let mut left: VecDeque<OsString> = names(path)?;
        let mut links = 0;
        // The walk knows where it is by name, relative to the root; each step resolves from the root again.
        let mut at = PathBuf::new();
        let mut here = self.open_with(Path::new("."), OFlag::O_PATH | OFlag::O_DIRECTORY)?;
        while let Some(name) = left.pop_front() {
            match mkdirat(&here, name.as_os_str(), Mode::from_bits_truncate(0o755)) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(error) => return Err(error),
            }
            let next = at.join(&name);
            match self.open_with(&next, OFlag::O_PATH | OFlag::O_DIRECTORY) {
                Ok(directory) => (at, here) = (next, directory),
                Err(Errno::ENOENT) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::ELOOP);
                    }
                    let target = PathBuf::from(readlinkat(&here, name.as_os_str())?);
                    let mut ahead = if target.is_absolute() {
                        at = PathBuf::new();
                        names(&target)?
                    } else {
                        names(&at.join(&target)).inspect(|_| at = PathBuf::new())?
                    };
                    here = self.open_with(Path::new("."), OFlag::O_PATH | OFlag::O_DIRECTORY)?;
                    ahead.append(&mut left);
                    left = ahead;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(here)
    }

    /// Refers to a file, made empty (mode 0644) when missing, with the directories that lead to it.
    pub(crate) fn make_file(&self, path: &Path) -> Result<OwnedFd> {
        match self.find(path) {
            Err(Errno::ENOENT) => {}
            found => return found,
        }
        let (parent, name) = self.make_parent(path)?;
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_WRONLY;
        nix::fcntl::openat(&parent, name.as_os_str(), flags, Mode::from_bits_truncate(0o644))?;
        self.find(path)
    }

    /// The directory of a path, made when missing, and the last name in it.
    pub(crate) fn make_parent(&self, path: &Path) -> Result<(OwnedFd, OsString)> {
        let mut names = names(path)?;
        let name = names.pop_back().ok_or(Errno::EISDIR)?;
        Ok((self.make_directories(&names.iter().collect::<PathBuf>())?, name))
    }
}

/// Status of what a descriptor refers to.
pub(crate) fn status(file: impl AsFd) -> Result<FileStat> {
    fstatat(file, c"", AtFlags::AT_EMPTY_PATH)
}

/// Whether a status is of this type (`S_IF*`).
pub(crate) fn is_type(status: &FileStat, kind: libc::mode_t) -> bool {
    status.st_mode & libc::S_IFMT == kind
}

/// The names of a path from the root; `..` is taken lexically, as the spec's paths are clean ones.
fn names(path: &Path) -> Result<VecDeque<OsString>> {
    let mut names = VecDeque::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push_back(name.to_owned()),
            Component::ParentDir => {
                names.pop_back();
            }
            Component::CurDir | Component::RootDir => {}
            Component::Prefix(_) => return Err(Errno::EINVAL),
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree() -> (tempfile::TempDir, RootDir) {
        let outer = tempfile::tempdir().unwrap();
        fs::create_dir_all(outer.path().join("root/run")).unwrap();
        let root = RootDir::open(&outer.path().join("root")).unwrap();
        (outer, root)
    }

    #[test]
    fn directories_and_files_are_made_inside() {
        let (outer, root) = tree();
        root.make_directories(Path::new("/a/./b/../c")).unwrap();
        root.make_file(Path::new("/x/y/file")).unwrap();
        root.make_file(Path::new("/x/y/file")).unwrap();
        assert!(outer.path().join("root/a/c").is_dir());
        assert!(outer.path().join("root/x/y/file").is_file());
    }

    #[test]
    fn links_lead_nowhere_outside() {
        let (outer, root) = tree();
        let inside = outer.path().join("root");
        symlink("/run", inside.join("absolute")).unwrap();
        symlink("../../../../run", inside.join("upward")).unwrap();
        symlink(outer.path(), inside.join("outside")).unwrap();
        root.make_directories(Path::new("/absolute/one")).unwrap();
        root.make_directories(Path::new("/upward/two")).unwrap();
        root.make_file(Path::new("/outside/three")).unwrap();
        assert!(inside.join("run/one").is_dir() && inside.join("run/two").is_dir());
        assert!(!outer.path().join("three").exists(), "the root was left");
        assert!(root.find(Path::new("/../../etc/passwd")).is_err());
    }

    #[test]
    fn a_dangling_link_gets_its_target() {
        let (outer, root) = tree();
        let inside = outer.path().join("root");
        symlink("/deep/lock", inside.join("lock")).unwrap();
        root.make_directories(Path::new("/lock/sub")).unwrap();
        assert!(inside.join("deep/lock/sub").is_dir());
        symlink("loop2", inside.join("loop1")).unwrap();
        symlink("loop1", inside.join("loop2")).unwrap();
        assert_eq!(root.make_directories(Path::new("/loop1")).unwrap_err(), Errno::ELOOP);
    }

    #[test]
    fn a_file_in_the_way_is_an_error() {
        let (outer, root) = tree();
        fs::write(outer.path().join("root/file"), "").unwrap();
        assert_eq!(root.make_directories(Path::new("/file/x")).unwrap_err(), Errno::ENOTDIR);
    }
}
