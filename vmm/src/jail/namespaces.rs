//! Namespaces of this process's own (namespaces(7)): behind the filters and Landlock, a second wall that shows a program no
//! network, no mailboxes and no files, should it find a way around the first.
//!
//! ```text
//!   /            a tmpfs, read-only and empty
//!   /proc/self/fd   with shares only: files are opened again by their descriptors' names (`devices::virtio::fs::files`)
//!   /shares         for a VM that may get shares later: a small tmpfs in which the host mounts them
//! ```
//!
//! What is open stays so, shares among it: their mounts hang from no root any more (`devices::virtio::fs::share`). An ordinary
//! user may make namespaces in a user namespace only, in which other users have no numbers: a VM of his that has shares, and so
//! shows whose files are, stays in the host's.

use std::io;

use caps::{CapSet, Capability};
use holm_protocol::vm_control::LATE_SHARES;
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{CWD, Mode, mkdir};
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_change,
    mount_remount, move_mount, open_tree, unmount,
};
use rustix::process::{chdir, pivot_root};

use super::JailError;

/// Where this process's descriptors have names.
const DESCRIPTORS: &str = "/proc/self/fd";
/// Directories to mount on and nothing else.
const LATE_SHARES_OPTIONS: &std::ffi::CStr = c"nr_inodes=256,size=4k,mode=700";
/// A directory of any host, over which the new root is mounted until it is one.
const PLACE: &str = "/proc";

/// Whose root directory this process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Root {
    Hosts,
    Own,
}

/// Leaves the host's namespaces. `has_shares` tells whether files are opened later, and `more_shares` whether in directories that are
/// mounted later.
pub(super) fn leave_the_hosts(has_shares: bool, more_shares: bool) -> Result<Root, JailError> {
    let mut own = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    if !caps::has_cap(None, CapSet::Effective, Capability::CAP_SYS_ADMIN).map_err(JailError::Capabilities)? {
        if has_shares {
            return Ok(Root::Hosts);
        }
        own |= CloneFlags::CLONE_NEWUSER;
    }
    // A host may have none for ordinary users, or let them make some that they can do nothing in.
    let made = unshare(own).map_err(io::Error::from);
    let made = made.and_then(|()| {
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        Ok(has_shares.then(|| open_tree(CWD, DESCRIPTORS, OpenTreeFlags::OPEN_TREE_CLONE)).transpose()?)
    });
    match made {
        Ok(descriptors) => {
            change_root(descriptors.as_ref(), more_shares).map_err(JailError::Root).map(|()| Root::Own)
        }
        Err(error) => {
            tracing::info!(%error, "the host gives the VMM no namespaces: it is confined without them");
            Ok(Root::Hosts)
        }
    }
}

/// Makes the new root the only one, with the mount of the descriptors' names in it.
fn change_root(descriptors: Option<&std::os::fd::OwnedFd>, more_shares: bool) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("holm", PLACE, "tmpfs", flags, c"nr_inodes=5,mode=555")?;
    chdir(PLACE)?;
    if let Some(descriptors) = descriptors {
        for directory in ["proc", "proc/self", "proc/self/fd"] {
            mkdir(directory, Mode::from_raw_mode(0o555))?;
        }
        move_mount(descriptors, "", CWD, "proc/self/fd", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    }
    if more_shares {
        let below = LATE_SHARES.trim_start_matches('/');
        mkdir(below, Mode::from_raw_mode(0o700))?;
        mount("shares", below, "tmpfs", flags, LATE_SHARES_OPTIONS)?;
    }
    mount_remount(".", flags | MountFlags::BIND | MountFlags::RDONLY, c"")?;
    // The old root lies over the new one for a moment: pivot_root(2) has this under its notes.
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    chdir("/")?;
    Ok(())
}
