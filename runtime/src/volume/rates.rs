//! Which disks have rates, and whether they are there.

use holm_protocol::vm_config::DiskRates;

use super::driver::VolumeDriver;
use super::error::VolumeError;
use super::store::VolumeStore;
use crate::container::settings::{MountKind, Settings};

/// Checks that each path with a rate is a disk of the container's: `/`, or where a block volume is mounted.
///
/// # Errors
/// One is none, or a volume cannot be read.
pub fn check_rates(settings: &Settings, volumes: &VolumeStore) -> Result<(), VolumeError> {
    for path in settings.device_rates.paths().filter(|path| *path != "/") {
        let mount = settings.mounts.iter().find(|mount| mount.destination == path);
        let name =
            mount.and_then(|mount| mount.volume()).ok_or_else(|| VolumeError::NoDisk(path.to_owned()))?;
        if volumes.find(name.as_str())?.record.driver == VolumeDriver::Local {
            return Err(VolumeError::NoDisk(path.to_owned()));
        }
    }
    Ok(())
}

/// The VM's disks of block volumes by their ids, in the order in which [`super::shares`] makes them, and their rates: those of the first
/// place where a volume is mounted.
///
/// # Errors
/// A volume cannot be read.
pub fn disk_rates(
    settings: &Settings,
    volumes: &VolumeStore,
) -> Result<Vec<(String, DiskRates)>, VolumeError> {
    let (mut seen, mut found) = (Vec::new(), Vec::new());
    for mount in &settings.mounts {
        let MountKind::Volume { name, .. } = &mount.kind else { continue };
        if seen.contains(&name) || volumes.find(name.as_str())?.record.driver == VolumeDriver::Local {
            continue;
        }
        seen.push(name);
        found.push((disk_id(found.len()), settings.device_rates.of(&mount.destination)));
    }
    Ok(found)
}

/// The id of the disk of the block volume with this number.
pub(super) fn disk_id(number: usize) -> String {
    format!("volume-{number}")
}
