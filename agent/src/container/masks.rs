//! Paths that a container must not read, or not write (config-linux.md "Masked Paths", "Readonly Paths").
//!
//! The mask of a file is the agent's own /dev/null, never the container's, which the image could have replaced by
//! something else (CVE-2025-31133).

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::devices;
use super::rootdir::{self, RootDir};
use crate::fault::{At, Fault};
use crate::sys::mount_api::{self, FsContext, attr};

/// Covers what exists of the paths: files by /dev/null, directories by an empty read-only tmpfs.
pub(crate) fn mask(root: &RootDir, paths: &[PathBuf]) -> Result<(), Fault> {
    if paths.is_empty() {
        return Ok(());
    }
    let null = nix::fcntl::open("/dev/null", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
        .at("opening /dev/null")?;
    if !devices::is_character_device(&null, 1, 3) {
        return Err(Fault::internal("the guest's /dev/null is not the null device"));
    }
    for path in paths {
        let what = format!("masking {}", path.display());
        let Some(target) = find(root, path).at(&what)? else { continue };
        let directory = rootdir::is_type(&rootdir::status(&target).at(&what)?, libc::S_IFDIR);
        let cover = if directory { empty_directory() } else { mount_api::clone_tree(null.as_fd(), false) };
        mount_api::attach(cover.at(&what)?.as_fd(), target.as_fd()).at(&what)?;
    }
    Ok(())
}

/// Makes what exists of the paths read-only, by a mount of each on itself.
pub(crate) fn make_read_only(root: &RootDir, paths: &[PathBuf]) -> Result<(), Fault> {
    for path in paths {
        let what = format!("making {} read-only", path.display());
        let Some(target) = find(root, path).at(&what)? else { continue };
        let mount = mount_api::clone_tree(target.as_fd(), true).at(&what)?;
        mount_api::set_attributes(mount.as_fd(), false, attr::RDONLY, 0, 0).at(&what)?;
        mount_api::attach(mount.as_fd(), target.as_fd()).at(&what)?;
    }
    Ok(())
}

fn find(root: &RootDir, path: &Path) -> nix::Result<Option<OwnedFd>> {
    match root.find(path) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
        found => found.map(Some),
    }
}

fn empty_directory() -> rustix::io::Result<OwnedFd> {
    let tmpfs = FsContext::open(c"tmpfs")?;
    tmpfs.set(c"size", c"0k")?;
    tmpfs.set(c"nr_inodes", c"1")?;
    tmpfs.mount(attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC)
}
