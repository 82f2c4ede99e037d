//! Block volumes: disks with an ext4 file system each, mounted where containers cannot see them. What containers get is a bind
//! mount of the directory `data` in it: an empty volume is an empty directory, without the file system's `lost+found`.

use std::fs::{self, File};
use std::path::Path;

use holm_protocol::agent::{VOLUME_DATA, VOLUMES_DIRECTORY};
use nix::mount::umount;

use crate::container::mounts::MountPlan;
use crate::disk;
use crate::fault::{At, Fault};
use crate::sys::freeze::freeze;

/// Mounts the volumes that `mounts` need and that are not mounted yet.
pub(crate) fn mount_for(mounts: &[MountPlan]) -> Result<(), Fault> {
    for source in mounts.iter().map(MountPlan::source) {
        let Ok(below) = source.strip_prefix(VOLUMES_DIRECTORY) else { continue };
        let Some(serial) = below.iter().next().and_then(|name| name.to_str()) else { continue };
        let directory = Path::new(VOLUMES_DIRECTORY).join(serial);
        if !directory.exists() {
            mount_one(serial, &directory)?;
        }
    }
    Ok(())
}

fn mount_one(serial: &str, directory: &Path) -> Result<(), Fault> {
    fs::create_dir_all(directory).at("making the directory of a volume")?;
    let read_only = disk::mount_ext4(&disk::find(serial)?, directory)?;
    let data = directory.join(VOLUME_DATA);
    if !data.exists() {
        if read_only {
            // Nobody has written to it: an empty directory of the guest's memory is all that there is to see.
            umount(directory).at("unmounting a block volume")?;
        }
        fs::create_dir(&data).at("making a volume's directory")?;
    }
    Ok(())
}

/// Leaves each volume's file system as if it were unmounted, whoever still holds on to it: the VM ends.
pub(crate) fn settle() {
    for entry in fs::read_dir(VOLUMES_DIRECTORY).into_iter().flatten().flatten() {
        // One that is mounted for reading has nothing to write, and says so.
        let _ = File::open(entry.path()).map(|volume| freeze(&volume));
    }
}
