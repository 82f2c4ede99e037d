//! One directory of the host, or one file in it, that is shared.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;

use fuse_backend_rs::api::filesystem::ROOT_ID;
use holm_protocol::vm_config::ShareConfig;
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};

use super::files::Files;
use super::names::errno;

/// Number of the one file of a share that has an `only` name; it stands for whatever has that name. Those of inodes are
/// larger, but for the root's, which is 1.
pub(super) const ONLY_FILE: u64 = 2;

/// A share's directory, held from the start: what is renamed later does not change what is shared.
#[derive(Debug)]
pub(super) struct Root {
    directory: File,
    only: Option<CString>,
    read_only: bool,
}

impl Root {
    /// A directory that the host opened.
    pub(super) fn received(directory: OwnedFd, only: Option<&str>, read_only: bool) -> io::Result<Self> {
        Ok(Self { directory: directory.into(), only: only.map(CString::new).transpose()?, read_only })
    }

    /// Opens the directory.
    pub(super) fn open(config: &ShareConfig) -> io::Result<Self> {
        let only = config.only.as_deref().map(CString::new).transpose()?;
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;
        let directory = File::options().read(true).custom_flags(flags).open(&config.directory)?;
        let directory = mount_of_its_own(directory.into())?.into();
        Ok(Self { directory, only, read_only: config.read_only })
    }
}

/// The directory and all that is mounted below it, in mounts that stay together when the process has left the root that they
/// hang from (`jail::namespaces`). The directory itself for an ordinary user, who stays where he is.
fn mount_of_its_own(directory: OwnedFd) -> io::Result<OwnedFd> {
    let whole = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::AT_RECURSIVE;
    match open_tree(&directory, "", whole | OpenTreeFlags::AT_EMPTY_PATH | OpenTreeFlags::OPEN_TREE_CLOEXEC) {
        Err(Errno::PERM) => Ok(directory),
        mount => Ok(mount?),
    }
}

/// A share that is served.
pub(super) struct Share {
    pub(super) files: Files,
    /// The one name that there is.
    pub(super) only: Option<CString>,
    pub(super) read_only: bool,
}

impl Share {
    /// Begins to serve a directory. The caller is the thread that serves ([`super::thread`]).
    pub(super) fn new(root: &Root) -> io::Result<Self> {
        let files = Files::new(root.directory.try_clone()?.into())?;
        Ok(Self { files, only: root.only.clone(), read_only: root.read_only })
    }

    /// The inode behind a number: for [`ONLY_FILE`] what has the name now.
    ///
    /// # Errors
    /// Nothing has the name, or a directory.
    pub(super) fn hold(&self, inode: u64) -> io::Result<Held<'_>> {
        match &self.only {
            Some(name) if inode == ONLY_FILE => {
                let entry = self.files.lookup(ROOT_ID, name)?;
                let held = Held { share: self, inode: entry.inode, is_borrowed: true };
                if entry.attr.st_mode & libc::S_IFMT == libc::S_IFDIR {
                    return Err(errno(libc::EISDIR));
                }
                Ok(held)
            }
            // Below the directory there is nothing.
            Some(_) if inode != ROOT_ID => Err(errno(libc::EBADF)),
            _ => Ok(Held { share: self, inode, is_borrowed: false }),
        }
    }

    /// Gives back what [`Held::keep`] kept.
    pub(super) fn let_go(&self, inode: u64) {
        self.files.let_go(inode, 1);
    }
}

/// An inode for the time of a request.
pub(super) struct Held<'a> {
    share: &'a Share,
    pub(super) inode: u64,
    is_borrowed: bool,
}

impl Held<'_> {
    /// Keeps it beyond the request; whoever closes it lets it go.
    pub(super) fn keep(mut self) -> u64 {
        self.is_borrowed = false;
        self.inode
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.is_borrowed {
            self.share.let_go(self.inode);
        }
    }
}
