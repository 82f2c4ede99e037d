//! The guest's own mounts.
//!
//! The kernel's initial root cannot be left by pivot_root(2), so containers could not either: a tmpfs takes its place
//! (mount --move and chroot, as switch_root(8) does). The initial root, which holds the agent's executable and nothing
//! else, stays below, read-only and without a path to it.

use std::fs::create_dir;

use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{chdir, chroot};

use crate::container::cgroup;
use crate::fault::{At, Fault};

/// Where the new root is built.
const NEW_ROOT: &str = "/root";

/// Directory for the mounts of containers.
pub(crate) const RUN: &str = "/run";

/// A file system: type, where, flags.
type GuestMount = (&'static str, &'static str, MsFlags);

const MOUNTS: [GuestMount; 4] = [
    ("devtmpfs", "/dev", MsFlags::MS_NOSUID.union(MsFlags::MS_NOEXEC)),
    ("proc", "/proc", CLOSED),
    ("sysfs", "/sys", CLOSED),
    ("cgroup2", cgroup::MOUNT_POINT, CLOSED),
];

const CLOSED: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);

/// Mounts everything and changes the root.
pub(super) fn mount_all() -> Result<(), Fault> {
    umask(Mode::from_bits_truncate(0o022));
    match create_dir(NEW_ROOT) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(error).at("making /root");
        }
        _ => {}
    }
    mount(Some("holm"), NEW_ROOT, Some("tmpfs"), CLOSED, Some("mode=0755")).at("mounting the root")?;
    chdir(NEW_ROOT).at("entering the new root")?;
    for directory in ["dev", "proc", "sys", "run"] {
        create_dir(directory).at(format_args!("making /{directory}"))?;
    }
    for (kind, path, flags) in MOUNTS {
        let target = path.trim_start_matches('/');
        mount(Some(kind), target, Some(kind), flags, None::<&str>).at(format_args!("mounting {path}"))?;
    }
    let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    mount(None::<&str>, "/", None::<&str>, read_only, None::<&str>).at("protecting the initial root")?;
    mount(Some("."), "/", None::<&str>, MsFlags::MS_MOVE, None::<&str>).at("moving the root")?;
    chroot(".").at("changing the root")?;
    chdir("/").at("changing the root")
}
