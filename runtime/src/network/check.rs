//! What crashes left of networks.

use super::attachment::apply_rules;
use super::endpoint::Endpoint;
use super::error::NetworkError;
use super::store::NetworkStore;
use crate::check::Finding;

impl NetworkStore {
    /// Looks at endpoints.
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
        Ok(())
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
        }
        Ok(())
    }
}
