//! What crashes left of networks.

use std::path::PathBuf;

use super::attachment::apply_rules;
use super::endpoint::Endpoint;
use super::error::NetworkError;
use super::store::NetworkStore;
use crate::check::Finding;
use crate::durable;
use crate::file_error::failed;

impl NetworkStore {
    /// Looks at endpoints, and at files that were being written.
    ///
    /// # Errors
    /// They cannot be read.
    pub(crate) fn check(&self, found: &mut dyn FnMut(Finding)) -> Result<(), NetworkError> {
        let _lock = self.lock()?;
        for endpoint in Endpoint::all(&self.directories)? {
            if !endpoint.is_alive(&self.directories) {
                found(Finding::leftover(
                    endpoint.path(&self.directories),
                    format!("{} belongs to no running container", endpoint.address),
                ));
            }
        }
        for place in self.half_written()? {
            found(Finding::leftover(place, "the command that wrote it was killed"));
        }
        Ok(())
    }

    /// For whoever has the lock.
    fn half_written(&self) -> Result<Vec<PathBuf>, NetworkError> {
        let path = self.directories.networks();
        Ok(durable::leftovers(&path).map_err(failed("read", &path))?)
    }

    /// Removes what crashes left; cheap where they left nothing.
    ///
    /// # Errors
    /// Names what cannot be removed.
    pub fn repair(&self) -> Result<(), NetworkError> {
        let mut is_left = false;
        self.check(&mut |_| is_left = true)?;
        if is_left {
            apply_rules(self, &[])?;
            let _lock = self.lock()?;
            self.keep_living()?;
            for path in self.half_written()? {
                durable::remove(&path).map_err(failed("remove", &path))?;
            }
        }
        Ok(())
    }
}
