//! An archive into a tree: each member is made anew under its name; a directory may be there already.

mod contents;
mod destination;
mod error;

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, chownat, fchmod,
    fchown, futimens, linkat, makedev, mkdirat, mknodat, openat, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::{Errno, Result as IoResult};

use self::contents::write;
use self::destination::clean;
use crate::{Entry, Kind, Source, TarReader, Time, xattr};

pub use self::destination::Destination;
pub use self::error::UnpackError;

/// Directories wait for their times until all is in them; more of them are refused.
const MAX_DIRECTORIES: usize = 1 << 20;

/// What is taken over from the archive beside names, contents, permissions and times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Owners, set-user-ID and the like, devices, all extended attributes: for a container's own tree.
    Everything,
    /// As [`Keep::Everything`], but devices are refused: for somebody who asked for owners on the host.
    Owners,
    /// Nothing that gives rights: what is made belongs to who makes it.
    Contents,
}

/// Unpacks archives.
#[derive(Debug)]
pub struct Unpacker {
    destination: Destination,
    keep: Keep,
    only: Option<Vec<u8>>,
    /// Their attributes are set at the end.
    directories: Vec<(PathBuf, Finish)>,
}

/// What a file gets when its contents are there.
#[derive(Clone, Debug)]
struct Finish {
    mode: u32,
    owner: Option<(u32, u32)>,
    mtime: Time,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Unpacker {
    /// Makes members in `destination`.
    #[must_use]
    pub fn new(destination: Destination, keep: Keep) -> Self {
        Self { destination, keep, only: None, directories: Vec::new() }
    }

    /// Refuses members that are neither this one nor below it: for a directory that has other things in it, and an archive
    /// that should hold one.
    #[must_use]
    pub fn only(self, name: &[u8]) -> Self {
        Self { only: Some(name.to_vec()), ..self }
    }

    /// Unpacks a whole archive.
    ///
    /// # Errors
    /// At the first member that cannot be made; those before it stay.
    pub fn unpack<S: Source>(mut self, tar: &mut TarReader<S>) -> Result<(), UnpackError> {
        while let Some(mut entry) = tar.next_entry()? {
            let name = String::from_utf8_lossy(&entry.path).into_owned();
            let path = clean(&entry.path).ok_or_else(|| UnpackError::Outside(name.clone()))?;
            let first = path.iter().next().map(OsStr::as_bytes);
            if self.only.is_some() && self.only.as_deref() != first {
                return Err(UnpackError::Unasked(name));
            }
            // The destination itself stays as it is, as in Docker.
            if !path.as_os_str().is_empty() {
                let finish = self.finish_of(&mut entry).ok_or_else(|| UnpackError::Number(name.clone()))?;
                self.member(tar, &entry, &path, finish, name)?;
            }
        }
        // Those in others first: a directory may be closed to us by its own permissions.
        for (path, finish) in self.directories.iter().rev() {
            let set = |()| {
                let directory = self.destination.directory(path, OFlags::RDONLY)?;
                finish.apply(directory.as_fd())
            };
            set(()).map_err(failed(&path.display().to_string(), "setting its attributes"))?;
        }
        Ok(())
    }

    fn member<S: Source>(
        &mut self,
        tar: &mut TarReader<S>,
        entry: &Entry,
        path: &Path,
        finish: Finish,
        name: String,
    ) -> Result<(), UnpackError> {
        let in_parent = |what| failed(&name, what);
        let (parent, last) = self.destination.parent(path).map_err(in_parent("finding its directory"))?;
        let parent = parent.as_fd();
        let existing = match statat(parent, &last, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Some(FileType::from_raw_mode(stat.st_mode)),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(in_parent("looking for it")(error)),
        };
        let is_directory = entry.kind == Kind::Directory;
        match existing {
            Some(FileType::Directory) if !is_directory => return Err(UnpackError::OverDirectory(name)),
            Some(FileType::Directory) | None => {}
            Some(_) if is_directory => return Err(UnpackError::OverFile(name)),
            Some(_) => unlinkat(parent, &last, AtFlags::empty()).map_err(in_parent("replacing it"))?,
        }
        match &entry.kind {
            Kind::Regular => {
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = openat(parent, &last, flags, Mode::RUSR | Mode::WUSR);
                let file = File::from(file.map_err(in_parent("making it"))?);
                write(tar, entry, &file, &name)?;
                finish.apply(file.as_fd()).map_err(in_parent("setting its attributes"))
            }
            Kind::Directory => {
                if existing.is_none() {
                    mkdirat(parent, &last, Mode::RWXU).map_err(in_parent("making it"))?;
                }
                if self.directories.len() >= MAX_DIRECTORIES {
                    return Err(UnpackError::TooManyDirectories(MAX_DIRECTORIES));
                }
                self.directories.push((path.to_owned(), finish));
                Ok(())
            }
            Kind::Symlink(target) => symlinkat(target.as_slice(), parent, &last)
                .and_then(|()| finish.apply_to_name(parent, last.as_bytes()))
                .map_err(in_parent("making it")),
            Kind::HardLink(target) => {
                let target = clean(target).ok_or_else(|| UnpackError::Outside(name.clone()))?;
                let (directory, first) = self.destination.parent(&target).map_err(in_parent("linking it"))?;
                linkat(&directory, &first, parent, &last, AtFlags::empty()).map_err(in_parent("linking it"))
            }
            Kind::CharDevice(..) | Kind::BlockDevice(..) | Kind::Fifo => {
                self.special(entry, parent, last.as_bytes(), &finish, name)
            }
        }
    }

    fn special(
        &self,
        entry: &Entry,
        parent: BorrowedFd<'_>,
        last: &[u8],
        finish: &Finish,
        name: String,
    ) -> Result<(), UnpackError> {
        let number = |number: &u64| u32::try_from(*number).map_err(|_| UnpackError::Number(name.clone()));
        let (kind, device) = match &entry.kind {
            Kind::CharDevice(major, minor) => {
                (FileType::CharacterDevice, makedev(number(major)?, number(minor)?))
            }
            Kind::BlockDevice(major, minor) => {
                (FileType::BlockDevice, makedev(number(major)?, number(minor)?))
            }
            _ => (FileType::Fifo, 0),
        };
        if kind != FileType::Fifo && self.keep != Keep::Everything {
            return Err(UnpackError::Device(name));
        }
        mknodat(parent, last, kind, Mode::RUSR | Mode::WUSR, device)
            .and_then(|()| finish.apply_to_name(parent, last))
            .map_err(failed(&name, "making it"))
    }

    /// What of a member's attributes is taken over; `None` when no file can have them.
    fn finish_of(&self, entry: &mut Entry) -> Option<Finish> {
        // The last number means "no id" to system calls.
        let id = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX);
        let owner = match self.keep {
            Keep::Contents => None,
            Keep::Everything | Keep::Owners => Some((id(entry.uid)?, id(entry.gid)?)),
        };
        let mask = if owner.is_some() { 0o7777 } else { 0o1777 };
        let mut xattrs = std::mem::take(&mut entry.xattrs);
        xattrs.retain(|(name, _)| {
            xattr::is_carried(name) && (self.keep != Keep::Contents || name.starts_with(b"user."))
        });
        Some(Finish { mode: u32::try_from(entry.mode & mask).ok()?, owner, mtime: entry.mtime, xattrs })
    }
}

impl Finish {
    /// The order matters: a change of owner clears set-user-ID and capabilities.
    fn apply(&self, file: BorrowedFd<'_>) -> IoResult<()> {
        if let Some((uid, gid)) = self.owner {
            fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        fchmod(file, Mode::from_raw_mode(self.mode))?;
        for (name, value) in &self.xattrs {
            xattr::write(file, name, value)?;
        }
        futimens(file, &self.times())
    }

    /// For what cannot be opened: links, devices, pipes. Nobody follows a link that took its place.
    fn apply_to_name(&self, parent: BorrowedFd<'_>, name: &[u8]) -> IoResult<()> {
        if let Some((uid, gid)) = self.owner {
            let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            chownat(parent, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file: OwnedFd = openat(parent, name, flags, Mode::empty())?;
        let is_link = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) == FileType::Symlink;
        if !is_link {
            // By way of procfs, because fchmod(2) does not take such a descriptor.
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            rustix::fs::chmodat(CWD, path, Mode::from_raw_mode(self.mode), AtFlags::empty())?;
        }
        utimensat(parent, name, &self.times(), AtFlags::SYMLINK_NOFOLLOW)
    }

    fn times(&self) -> Timestamps {
        Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec {
                tv_sec: self.mtime.seconds,
                tv_nsec: self.mtime.nanoseconds.into(),
            },
        }
    }
}

fn failed(path: &str, what: &'static str) -> impl FnOnce(Errno) -> UnpackError + use<> {
    let path = path.to_owned();
    move |source| UnpackError::Member { path, what, source }
}
