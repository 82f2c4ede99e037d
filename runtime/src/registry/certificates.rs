//! Whose certificates are good: those of the host's CAs and of the configured ones, read once, so that a program that confines itself
//! has nothing of them to read later.
//!
//! Trust: the files are the host's owner's. One that is no certificate is passed over among the host's, and refused among the
//! configured ones.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use reqwest::Certificate;
use rustls::RootCertStore;

use super::RegistryError;

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    host: OnceLock<Vec<Certificate>>,
    configured: Mutex<HashMap<PathBuf, Vec<Certificate>>>,
}

impl Certificates {
    /// The host's, and those in the files that are configured for a registry.
    pub(super) fn with(&self, files: &[PathBuf], registry: &str) -> Result<Vec<Certificate>, RegistryError> {
        let mut all = self.host.get_or_init(of_host).clone();
        for path in files {
            all.extend(self.configured(path, registry)?);
        }
        Ok(all)
    }

    fn configured(&self, path: &PathBuf, registry: &str) -> Result<Vec<Certificate>, RegistryError> {
        let mut configured = self.configured.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = configured.get(path) {
            return Ok(known.clone());
        }
        let pem = fs::read(path).map_err(RegistryError::file("read", path))?;
        let read = Certificate::from_pem_bundle(&pem)
            .map_err(|source| RegistryError::Tls { registry: registry.to_owned(), source })?;
        configured.insert(path.clone(), read.clone());
        Ok(read)
    }
}

/// Where `SSL_CERT_FILE` and `SSL_CERT_DIR` say, or where distributions keep them.
fn of_host() -> Vec<Certificate> {
    let read = rustls_native_certs::load_native_certs();
    for error in read.errors {
        tracing::info!(%error, "cannot read a certificate of the host");
    }
    // The HTTP client would refuse to be made with one that is none.
    let mut usable = RootCertStore::empty();
    let usable = read.certs.into_iter().filter(|certificate| usable.add(certificate.clone()).is_ok());
    usable.filter_map(|certificate| Certificate::from_der(&certificate).ok()).collect()
}
