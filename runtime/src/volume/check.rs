//! Whether the volumes are sound.

use super::error::VolumeError;
use super::name::VolumeName;
use super::store::VolumeStore;
use crate::check::Finding;
use crate::container::ContainerStore;

impl VolumeStore {
    /// Looks at each volume's record and directory, what belongs to none, and containers whose volume is gone.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub(crate) fn check(
        &self,
        containers: &ContainerStore,
        found: &mut dyn FnMut(Finding),
    ) -> Result<(), VolumeError> {
        let leftovers = self.leftovers()?;
        for name in self.entries()? {
            let place = self.path().join(&name);
            if leftovers.contains(&place) {
                found(Finding::leftover(place, "the command that made or removed it was killed"));
            } else if name == ".lock" {
            } else if name.parse::<VolumeName>().is_err() {
                found(Finding::unsound(place, "it is no volume"));
            } else {
                match self.find(&name) {
                    Ok(volume) if volume.data().exists() => {}
                    Ok(volume) => found(Finding::unsound(volume.data(), "the volume's data is gone")),
                    Err(error) => found(Finding::damaged(place, &error)),
                }
            }
        }
        for container in containers.list()? {
            for name in container.record.settings.mounts.iter().filter_map(|mount| mount.volume()) {
                if let Err(error @ VolumeError::NotFound(_)) = self.find(name.as_str()) {
                    found(Finding::damaged(container.directory(), &error));
                }
            }
        }
        Ok(())
    }

    /// Deletes what killed commands left.
    ///
    /// # Errors
    /// Names what cannot be deleted.
    pub(crate) fn repair(&self) -> Result<(), VolumeError> {
        if !self.leftovers()?.is_empty() {
            self.lock()?;
        }
        Ok(())
    }
}
