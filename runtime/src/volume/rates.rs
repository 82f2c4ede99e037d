//! Whether the disks whose rates are limited are there.

use super::driver::VolumeDriver;
use super::error::VolumeError;
use super::store::VolumeStore;
use crate::container::settings::Settings;

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
