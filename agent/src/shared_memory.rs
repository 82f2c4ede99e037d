//! The shared memory of a pod: one tmpfs of the guest's, which each of its containers binds on /dev/shm.

use std::fs;
use std::path::Path;

use holm_protocol::agent::{POD_SHARED_MEMORY, POD_SHARED_MEMORY_BYTES};
use nix::mount::{MsFlags, mount};

use crate::container::mounts::MountPlan;
use crate::fault::{At, Fault};

/// Mounts it if one of `mounts` needs it and it is not mounted yet.
pub(crate) fn mount_for(mounts: &[MountPlan]) -> Result<(), Fault> {
    let directory = Path::new(POD_SHARED_MEMORY);
    if directory.exists() || !mounts.iter().any(|mount| mount.source() == directory) {
        return Ok(());
    }
    let what = "making the pod's shared memory";
    fs::create_dir(directory).at(what)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let options = format!("mode=1777,size={POD_SHARED_MEMORY_BYTES}");
    mount(Some("shm"), directory, Some("tmpfs"), flags, Some(options.as_str())).at(what)
}
