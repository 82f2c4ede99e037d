//! Shared memory that containers have in common: a tmpfs of the guest's, which goes with the container whose it is, or with the last
//! that has it.

use std::fs;
use std::path::{Path, PathBuf};

use holm_protocol::agent::SHARED_MEMORY;
use nix::mount::{MntFlags, umount2};

use crate::container::mounts::MountPlan;
use crate::fault::{At, Fault};

/// Has those of `mounts` that are such memory bound from its place, where it is made if it is not there.
pub(crate) fn mount_for(container_id: &str, mounts: &mut [MountPlan]) -> Result<(), Fault> {
    // Left by one that could not be made.
    remove_of(container_id);
    for mount in mounts.iter_mut().filter(|mount| mount.is_shared_memory()) {
        let place = mount.source().to_owned();
        let is_made = place.exists();
        if !is_made {
            fs::create_dir_all(&place).at("making a place for shared memory")?;
        }
        mount.share_at(place, is_made)?;
    }
    Ok(())
}

/// Gives up a container's own; who else has it keeps it.
pub(crate) fn remove_of(container_id: &str) {
    let place = place_of(container_id);
    if place.exists() {
        // One that was made and not mounted is removed all the same.
        let _ = umount2(&place, MntFlags::MNT_DETACH);
        if let Err(error) = fs::remove_dir(&place) {
            tracing::warn!(%error, "cannot remove {}", place.display());
        }
    }
}

fn place_of(container_id: &str) -> PathBuf {
    Path::new(SHARED_MEMORY).join(container_id)
}
