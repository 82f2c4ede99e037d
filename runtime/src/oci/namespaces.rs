//! Namespaces of a container on the host: engines and hooks look for them by the pid that they know.
//!
//! In its network namespace its interfaces are found. In its mount namespace its files are: `podman cp` enters it and takes its
//! root for the container's.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{chdir, pivot_root};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use super::bundle::Bundle;
use super::error::OciError;
use super::mounts;

/// Where a container's network is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NetworkNamespace {
    /// A new one; hooks may put something into it.
    New,
    /// One that the engine prepared.
    Join(PathBuf),
}

impl NetworkNamespace {
    /// Enters it, with this thread and those that it makes from now on.
    pub(super) fn enter(&self) -> Result<(), OciError> {
        match self {
            Self::New => {
                unshare(CloneFlags::CLONE_NEWNET).map_err(OciError::system("cannot make a network namespace"))
            }
            Self::Join(path) => {
                let namespace =
                    File::open(path).map_err(|source| OciError::Read { path: path.clone(), source })?;
                setns(namespace, CloneFlags::CLONE_NEWNET)
                    .map_err(OciError::system("cannot join the network namespace"))
            }
        }
    }
}

/// Gives the calling thread a mount namespace whose root is the container's, with its bind mounts in it. The kernel looks names up
/// inside of that root only, whatever lies in it; nothing of it is opened but to mount on.
pub(super) fn show_root(bundle: &Bundle) -> Result<(), OciError> {
    let what = "cannot make a mount namespace";
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_FS).map_err(OciError::system(what))?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).map_err(OciError::system(what))?;
    // While the host's root is still there, and of mounts that are private by now: a copy of one that the host shares would hand on to it
    // what is mounted below.
    let binds: Vec<_> = mounts::binds(bundle.spec.mounts().as_deref().unwrap_or_default())
        .filter_map(|bind| Some((bind.destination, clone(bind.source, bind.is_recursive)?)))
        .collect();
    let rootfs = &bundle.rootfs;
    mount(Some(rootfs), rootfs, none, MsFlags::MS_BIND | MsFlags::MS_REC, none)
        .map_err(OciError::system(what))?;
    chdir(rootfs).map_err(OciError::system(what))?;
    pivot_root(".", ".").map_err(OciError::system(what))?;
    // The host's root now lies over the container's.
    umount2(".", MntFlags::MNT_DETACH).map_err(OciError::system(what))?;
    chdir("/").map_err(OciError::system(what))?;
    let root = File::open("/").map_err(OciError::system(what))?;
    for (destination, tree) in binds {
        // Else what is mounted on is the guest's.
        if let Err(error) = attach(&root, destination, &tree)
            && (error != Errno::NOENT || bundle.root.is_seen_by_the_host())
        {
            tracing::warn!(%error, "{} is not seen by the host in the container", destination.display());
        }
    }
    Ok(())
}

/// A copy of a mount that is nowhere yet.
fn clone(source: &Path, is_recursive: bool) -> Option<OwnedFd> {
    let recursive = if is_recursive { OpenTreeFlags::AT_RECURSIVE } else { OpenTreeFlags::empty() };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | recursive;
    open_tree(rustix::fs::CWD, source, flags).ok()
}

fn attach(root: &File, destination: &Path, tree: &OwnedFd) -> rustix::io::Result<()> {
    let below = destination.strip_prefix("/").unwrap_or(destination);
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let target = openat2(root, below, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), inside)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, "", target, "", flags)
}
