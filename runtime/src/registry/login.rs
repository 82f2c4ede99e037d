//! `login`: are these the right name and password?

use reqwest::StatusCode;

use super::challenge::Challenge;
use super::session::failure;
use super::{Credential, Registries, RegistryError};

impl Registries {
    /// Shows name and password to a registry.
    ///
    /// # Errors
    /// [`RegistryError::Login`] when they are wrong, others when that cannot be found out.
    pub fn verify(&self, registry: &str, user: &str, password: &str) -> Result<(), RegistryError> {
        let credential = Credential::Password { user: user.to_owned(), password: password.to_owned() };
        let session = self.open(registry, Some(credential.clone()))?;
        let wrong = |error| match error {
            RegistryError::Denied { reason, .. } => {
                RegistryError::Login { registry: registry.to_owned(), reason }
            }
            other => other,
        };
        match session.challenge() {
            // Docker takes that for a success, too: there is nothing to be wrong about.
            None => Ok(()),
            Some(Challenge::Bearer { realm, service }) => session
                .token_server(&realm, service.as_deref())
                .token(None, Some(&credential))
                .map(drop)
                .map_err(wrong),
            Some(Challenge::Basic) => {
                let url = session.url("");
                let response = session.send(None, |http| Ok(http.get(&url)))?;
                match response.status() {
                    StatusCode::OK => Ok(()),
                    _ => Err(wrong(failure(registry, registry, response))),
                }
            }
        }
    }
}
