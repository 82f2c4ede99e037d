//! The mount API on file descriptors (fsopen(2), fsmount(2), open_tree(2), move_mount(2), mount_setattr(2); Linux 5.2
//! and 5.12).
//!
//! A mount is made detached, gets its attributes, and only then appears on a target that is named by a descriptor: no
//! path is ever resolved twice, so a symbolic link in a container's root cannot redirect a mount (T13 of the threats).

#![allow(unsafe_code)] // mount_setattr(2) has no wrapper.

use std::ffi::CStr;
use std::io::Read;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use rustix::io::Result;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

/// Attributes of a mount, `MOUNT_ATTR_*` of linux/mount.h.
pub(crate) mod attr {
    pub(crate) const RDONLY: u32 = 0x1;
    pub(crate) const NOSUID: u32 = 0x2;
    pub(crate) const NODEV: u32 = 0x4;
    pub(crate) const NOEXEC: u32 = 0x8;
    /// Mask of the three access time modes; must be cleared to set one of them.
    pub(crate) const ATIME: u32 = 0x70;
    pub(crate) const NOATIME: u32 = 0x10;
    pub(crate) const STRICTATIME: u32 = 0x20;
    pub(crate) const NODIRATIME: u32 = 0x80;
    pub(crate) const NOSYMFOLLOW: u32 = 0x20_0000;
}

/// `struct mount_attr` of linux/mount.h.
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// A file system being configured, before it is mounted.
pub(crate) struct FsContext(OwnedFd);

impl FsContext {
    /// Starts configuring a file system of this type.
    pub(crate) fn open(fstype: &CStr) -> Result<Self> {
        fsopen(fstype, FsOpenFlags::FSOPEN_CLOEXEC).map(Self)
    }

    /// Sets `key=value`.
    pub(crate) fn set(&self, key: &CStr, value: &CStr) -> Result<()> {
        fsconfig_set_string(&self.0, key, value)
    }

    /// Sets a parameter that has no value.
    pub(crate) fn set_flag(&self, key: &CStr) -> Result<()> {
        fsconfig_set_flag(&self.0, key)
    }

    /// Makes the file system and a detached mount of it.
    pub(crate) fn mount(&self, attributes: u32) -> Result<OwnedFd> {
        fsconfig_create(&self.0)?;
        fsmount(&self.0, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::from_bits_retain(attributes))
    }

    /// What the kernel has to say about the last failure, or nothing.
    pub(crate) fn complaint(self) -> Option<String> {
        let mut message = [0_u8; 512];
        let length = std::fs::File::from(self.0).read(&mut message).ok()?;
        let text = String::from_utf8_lossy(message.get(..length)?);
        // A message is "e name: text"; the letter is its severity.
        Some(text.trim_end().trim_start_matches("e ").to_owned())
    }
}

/// A detached copy of the mount (and with `recursive` of all below) at what `at` refers to.
pub(crate) fn clone_tree(at: BorrowedFd<'_>, recursive: bool) -> Result<OwnedFd> {
    let mut flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    open_tree(at, c"", flags)
}

/// Attaches a detached mount on what `target` refers to.
pub(crate) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, c"", target, c"", flags)
}

/// Changes attributes and (unless 0) propagation of the mount that `mount` is the root of.
pub(crate) fn set_attributes(
    mount: BorrowedFd<'_>,
    recursive: bool,
    set: u32,
    clear: u32,
    propagation: u64,
) -> nix::Result<()> {
    let change = MountAttr { set: set.into(), clear: clear.into(), propagation, userns_fd: 0 };
    let mut flags = OpenTreeFlags::AT_EMPTY_PATH;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    // SAFETY: `change` has the layout of `struct mount_attr`, its size is passed, and it outlives the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags.bits(),
            &raw const change,
            size_of::<MountAttr>(),
        )
    };
    Errno::result(done).map(drop)
}
