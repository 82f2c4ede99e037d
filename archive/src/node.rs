//! A file of a tree, looked up once and held by descriptor: whatever takes its name afterwards, this is what it is.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat};
use rustix::io::Result;

use crate::xattr;
use crate::{Kind, Time};

/// A file of any type.
#[derive(Debug)]
pub struct Node {
    /// Of the path only (`O_PATH`).
    descriptor: OwnedFd,
    stat: Stat,
}

/// What an archive says of a file beside its contents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits, with set-user-ID, set-group-ID and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last change of the contents.
    pub mtime: Time,
    /// Name and value.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Node {
    /// Looks up one name in a directory; a symbolic link is what is found, not followed.
    ///
    /// # Errors
    /// There is none, or it cannot be looked at.
    pub fn open(directory: BorrowedFd<'_>, name: &OsStr) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Self::of(openat(directory, name, flags, Mode::empty())?)
    }

    /// What a descriptor refers to.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn of(descriptor: OwnedFd) -> Result<Self> {
        let stat = fstat(&descriptor)?;
        Ok(Self { descriptor, stat })
    }

    /// Its status when it was looked up.
    #[must_use]
    pub const fn stat(&self) -> &Stat {
        &self.stat
    }

    /// Its type when it was looked up.
    #[must_use]
    pub fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.file_type() == FileType::Directory
    }

    /// A character device 0:0: how an overlay's upper directory hides a name of the lower one.
    #[must_use]
    pub fn is_whiteout(&self) -> bool {
        self.file_type() == FileType::CharacterDevice && self.stat.st_rdev == 0
    }

    /// Opens it for reading. Only for regular files and directories: opening anything else may have effects.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn readable(&self) -> Result<File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        if self.is_directory() {
            return openat(&self.descriptor, ".", flags | OFlags::DIRECTORY, Mode::empty()).map(File::from);
        }
        // The one way from such a descriptor to a file of the same: its name could be another's by now.
        let path = format!("/proc/self/fd/{}", self.descriptor.as_raw_fd());
        openat(CWD, path, flags | OFlags::NOCTTY, Mode::empty()).map(File::from)
    }

    /// What kind of member it becomes; `None` for a socket, which no archive holds.
    ///
    /// # Errors
    /// A symbolic link cannot be read.
    pub fn kind(&self) -> Result<Option<Kind>> {
        let device = |stat: &Stat| {
            let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
            (u64::from(major), u64::from(minor))
        };
        Ok(Some(match self.file_type() {
            FileType::RegularFile => Kind::Regular,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink(readlinkat(&self.descriptor, "", Vec::new())?.into_bytes()),
            FileType::CharacterDevice => {
                let (major, minor) = device(&self.stat);
                Kind::CharDevice(major, minor)
            }
            FileType::BlockDevice => {
                let (major, minor) = device(&self.stat);
                Kind::BlockDevice(major, minor)
            }
            FileType::Fifo => Kind::Fifo,
            _ => return Ok(None),
        }))
    }

    /// Everything but the contents; `opened` is what [`Node::readable`] gave, for those that have extended attributes.
    ///
    /// # Errors
    /// Extended attributes cannot be read.
    pub fn attributes(&self, opened: Option<&File>) -> Result<Attributes> {
        Ok(Attributes {
            mode: self.stat.st_mode & 0o7777,
            uid: self.stat.st_uid,
            gid: self.stat.st_gid,
            mtime: Time {
                seconds: self.stat.st_mtime,
                nanoseconds: u32::try_from(self.stat.st_mtime_nsec).unwrap_or_default(),
            },
            xattrs: opened.map(|file| xattr::read(file.as_fd())).transpose()?.unwrap_or_default(),
        })
    }
}

impl AsFd for Node {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// One more name behind a path.
pub(crate) fn join(path: &[u8], name: &OsStr) -> Vec<u8> {
    let mut joined = path.to_vec();
    if !joined.is_empty() && !joined.ends_with(b"/") {
        joined.push(b'/');
    }
    joined.extend_from_slice(name.as_bytes());
    joined
}
