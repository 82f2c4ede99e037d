//! The mount API on file descriptors (fsopen(2), fsmount(2), open_tree(2), move_mount(2), mount_setattr(2); Linux 5.2
//! and 5.12).
//!
//! A mount is made detached, gets its attributes, and only then appears on a target that is named by a descriptor: no
//! path is ever resolved twice, so a symbolic link in a container's root cannot redirect a mount (T13 of the threats).

#![allow(unsafe_code)] // Raw system calls: neither libc nor nix has functions for them.

use std::ffi::CStr;
use std::io::Read;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::Result;
use nix::errno::Errno;

/// Attributes of a mount, `MOUNT_ATTR_*` of linux/mount.h.
pub(crate) mod attr {
    pub(crate) const RDONLY: u64 = 0x1;
    pub(crate) const NOSUID: u64 = 0x2;
    pub(crate) const NODEV: u64 = 0x4;
    pub(crate) const NOEXEC: u64 = 0x8;
    /// Mask of the three access time modes; must be cleared to set one of them.
    pub(crate) const ATIME: u64 = 0x70;
    pub(crate) const NOATIME: u64 = 0x10;
    pub(crate) const STRICTATIME: u64 = 0x20;
    pub(crate) const NODIRATIME: u64 = 0x80;
    pub(crate) const NOSYMFOLLOW: u64 = 0x20_0000;
}

const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSCONFIG_SET_FLAG: libc::c_uint = 0;
const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;
const OPEN_TREE_CLONE: libc::c_uint = 1;
const OPEN_TREE_CLOEXEC: libc::c_uint = libc::O_CLOEXEC as libc::c_uint;
const AT_RECURSIVE: libc::c_uint = 0x8000;
const AT_EMPTY_PATH: libc::c_uint = libc::AT_EMPTY_PATH as libc::c_uint;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 0x4;
const MOVE_MOUNT_T_EMPTY_PATH: libc::c_uint = 0x40;

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
        // SAFETY: `fstype` is NUL-terminated and outlives the call.
        let fd = unsafe { libc::syscall(libc::SYS_fsopen, fstype.as_ptr(), FSOPEN_CLOEXEC) };
        owned(fd).map(Self)
    }

    /// Sets `key=value`.
    pub(crate) fn set(&self, key: &CStr, value: &CStr) -> Result<()> {
        // SAFETY: both strings are NUL-terminated and outlive the call.
        let done = unsafe {
            libc::syscall(
                libc::SYS_fsconfig,
                self.0.as_raw_fd(),
                FSCONFIG_SET_STRING,
                key.as_ptr(),
                value.as_ptr(),
                0,
            )
        };
        Errno::result(done).map(drop)
    }

    /// Sets a parameter that has no value.
    pub(crate) fn set_flag(&self, key: &CStr) -> Result<()> {
        // SAFETY: `key` is NUL-terminated; a flag takes no value pointer.
        let done = unsafe {
            libc::syscall(
                libc::SYS_fsconfig,
                self.0.as_raw_fd(),
                FSCONFIG_SET_FLAG,
                key.as_ptr(),
                std::ptr::null::<libc::c_char>(),
                0,
            )
        };
        Errno::result(done).map(drop)
    }

    /// Makes the file system and a detached mount of it.
    pub(crate) fn mount(&self, attributes: u64) -> Result<OwnedFd> {
        // SAFETY: the command takes neither key nor value.
        let done = unsafe {
            libc::syscall(
                libc::SYS_fsconfig,
                self.0.as_raw_fd(),
                FSCONFIG_CMD_CREATE,
                std::ptr::null::<libc::c_char>(),
                std::ptr::null::<libc::c_char>(),
                0,
            )
        };
        Errno::result(done)?;
        // SAFETY: takes a descriptor and two integers.
        owned(unsafe { libc::syscall(libc::SYS_fsmount, self.0.as_raw_fd(), FSMOUNT_CLOEXEC, attributes) })
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
    let flags =
        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: the empty path is a NUL-terminated constant.
    owned(unsafe { libc::syscall(libc::SYS_open_tree, at.as_raw_fd(), c"".as_ptr(), flags) })
}

/// Attaches a detached mount on what `target` refers to.
pub(crate) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: the empty paths are NUL-terminated constants.
    let done = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            target.as_raw_fd(),
            c"".as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH,
        )
    };
    Errno::result(done).map(drop)
}

/// Changes attributes and (unless 0) propagation of the mount that `mount` is the root of.
pub(crate) fn set_attributes(
    mount: BorrowedFd<'_>,
    recursive: bool,
    set: u64,
    clear: u64,
    propagation: u64,
) -> Result<()> {
    let change = MountAttr { set, clear, propagation, userns_fd: 0 };
    let flags = AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: `change` has the layout of `struct mount_attr`, its size is passed, and it outlives the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const change,
            size_of::<MountAttr>(),
        )
    };
    Errno::result(done).map(drop)
}

/// Takes ownership of the descriptor that a system call returned.
fn owned(result: libc::c_long) -> Result<OwnedFd> {
    let fd = RawFd::try_from(Errno::result(result)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel just made this descriptor for us; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
