//! From a registry's name to a connection: which host, which scheme, which certificates.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::blocking::{Client, ClientBuilder};
use reqwest::{StatusCode, Url};

use super::certificates::Certificates;
use super::challenge::Challenge;
use super::config::RegistryConfig;
use super::{Credential, CredentialStore, Interrupt, RegistryError, RegistrySettings, Retry, Session};
use crate::image::Reference;

/// Docker Hub's registry does not answer under its name.
const HUB: &str = "docker.io";
const HUB_HOST: &str = "registry-1.docker.io";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest silence of a registry in the middle of something.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
const USER_AGENT: &str = concat!("holm/", env!("CARGO_PKG_VERSION"));

/// All registries, as configured.
#[derive(Debug)]
pub struct Registries {
    config: RegistryConfig,
    credentials: CredentialStore,
    retry: Retry,
    interrupt: Interrupt,
    certificates: Certificates,
    /// By host, of those that were prepared for.
    prepared: Mutex<HashMap<String, Option<Credential>>>,
    /// One client, that is one pool of connections, for each kind of TLS settings.
    clients: Mutex<HashMap<(Trust, RegistrySettings), Client>>,
}

/// Which certificates are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Trust {
    /// Those of the system's and the configured CAs.
    Verified,
    /// All.
    Any,
}

/// A place to look for a registry.
struct Candidate {
    base: String,
    trust: Trust,
}

impl Registries {
    /// With Holm's and Docker's configuration files.
    ///
    /// # Errors
    /// Holm's cannot be read; Docker's is read when it is needed.
    pub fn from_environment() -> Result<Self, RegistryError> {
        Ok(Self::new(RegistryConfig::from_environment()?, CredentialStore::from_environment()))
    }

    /// With this configuration.
    #[must_use]
    pub fn new(config: RegistryConfig, credentials: CredentialStore) -> Self {
        Self {
            config,
            credentials,
            retry: Retry::default(),
            interrupt: Interrupt::default(),
            certificates: Certificates::default(),
            prepared: Mutex::default(),
            clients: Mutex::default(),
        }
    }

    /// Tries again otherwise than Docker does.
    #[must_use]
    pub fn with_retry(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }

    /// Ends what goes on when it is set.
    #[must_use]
    pub fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &RegistryConfig {
        &self.config
    }

    /// Docker's config.json.
    #[must_use]
    pub fn credentials(&self) -> &CredentialStore {
        &self.credentials
    }

    /// All tags of a name's repository.
    ///
    /// # Errors
    /// The registry cannot be used, or has no such repository.
    pub fn tags(&self, name: &Reference) -> Result<Vec<String>, RegistryError> {
        self.connect(name)?.tags(name.repository())
    }

    /// The registry of a name, with its credentials.
    pub(crate) fn connect(&self, reference: &Reference) -> Result<Session, RegistryError> {
        let registry = reference.registry();
        self.open(registry, self.credential(registry)?)
    }

    /// Reads everything that a transfer from or to a name's registry takes of the host, and has credential helpers answer: from then
    /// on nothing more is read for it but to find addresses, and no program is run. No connection is made.
    ///
    /// # Errors
    /// Credentials or certificates of the registry cannot be had. What a mirror lacks is found out when it is its turn.
    pub fn prepare(&self, reference: &Reference) -> Result<(), RegistryError> {
        for mirror in self.config.settings(reference.registry()).mirrors {
            if let Err(error) = host_of(&mirror).and_then(|host| self.prepare_host(host)) {
                tracing::info!(%error, mirror, "a mirror cannot be used");
            }
        }
        self.prepare_host(reference.registry())
    }

    fn prepare_host(&self, host: &str) -> Result<(), RegistryError> {
        let credential = self.credentials.find(host)?;
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned(), credential);
        let settings = self.config.settings(host);
        if !settings.insecure {
            self.certificates.with(&settings.ca, host)?;
        }
        Ok(())
    }

    fn credential(&self, host: &str) -> Result<Option<Credential>, RegistryError> {
        let prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner).get(host).cloned();
        prepared.map_or_else(|| self.credentials.find(host), Ok)
    }

    /// The mirrors of a name's registry and then itself, each connected when it is its turn.
    pub(crate) fn sources<'a>(
        &'a self,
        reference: &'a Reference,
    ) -> impl Iterator<Item = Result<Session, RegistryError>> + 'a {
        let mirrors = self.config.settings(reference.registry()).mirrors;
        let mirrors = mirrors.into_iter().map(move |mirror| {
            let host = host_of(&mirror)?;
            self.open(&mirror, self.credential(host)?)
        });
        mirrors.chain(std::iter::once_with(|| self.connect(reference)))
    }

    /// Finds out how to talk to a registry. `registry` is its name or, for a mirror, perhaps a URL.
    pub(super) fn open(
        &self,
        registry: &str,
        credential: Option<Credential>,
    ) -> Result<Session, RegistryError> {
        let host = host_of(registry)?;
        let settings = self.config.settings(host);
        let mut last = None;
        for candidate in candidates(registry, host, &settings) {
            self.interrupt.check()?;
            let base: Url = candidate.base.parse().map_err(|_| RegistryError::Host(registry.to_owned()))?;
            let http = self.client(host, candidate.trust, &settings)?;
            match ping(&http, &base, host) {
                Ok(challenge) => {
                    return Ok(Session::new(
                        host.to_owned(),
                        base,
                        http,
                        credential,
                        challenge,
                        self.retry,
                        self.interrupt.clone(),
                    ));
                }
                Err(error) => last = Some(last.unwrap_or(error)),
            }
        }
        Err(last.unwrap_or_else(|| RegistryError::Host(registry.to_owned())))
    }

    fn client(
        &self,
        registry: &str,
        trust: Trust,
        settings: &RegistrySettings,
    ) -> Result<Client, RegistryError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let tls_only = RegistrySettings { ca: settings.ca.clone(), ..RegistrySettings::default() };
        let key = (trust, tls_only);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = self.build(trust, settings, registry)?;
        clients.insert(key, client.clone());
        Ok(client)
    }

    fn build(
        &self,
        trust: Trust,
        settings: &RegistrySettings,
        registry: &str,
    ) -> Result<Client, RegistryError> {
        // Fails when there is one already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder: ClientBuilder =
            Client::builder().user_agent(USER_AGENT).connect_timeout(CONNECT_TIMEOUT).timeout(READ_TIMEOUT);
        match trust {
            Trust::Verified => builder.tls_certs_only(self.certificates.with(&settings.ca, registry)?),
            Trust::Any => builder.danger_accept_invalid_certs(true),
        }
        .build()
        .map_err(|source| RegistryError::Tls { registry: registry.to_owned(), source })
    }
}

/// Where to try, in order.
fn candidates(registry: &str, host: &str, settings: &RegistrySettings) -> Vec<Candidate> {
    let trust = if settings.insecure { Trust::Any } else { Trust::Verified };
    let candidate = |base: String| Candidate { base, trust };
    if registry.contains("://") {
        return vec![candidate(registry.trim_end_matches('/').to_owned())];
    }
    let host = if host == HUB { HUB_HOST } else { host };
    let https = candidate(format!("https://{host}"));
    if settings.insecure { vec![https, candidate(format!("http://{host}"))] } else { vec![https] }
}

/// Host and port of `HOST[:PORT]` or `http[s]://HOST[:PORT][/...]`.
fn host_of(registry: &str) -> Result<&str, RegistryError> {
    let rest = match registry.split_once("://") {
        Some(("http" | "https", rest)) => rest.split('/').next().unwrap_or_default(),
        Some(_) => "",
        None => registry,
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:".contains(&byte);
    if rest.is_empty() || !rest.bytes().all(plain) {
        return Err(RegistryError::Host(registry.to_owned()));
    }
    Ok(rest)
}

/// Whether a registry is there, and how it lets one in.
fn ping(http: &Client, base: &Url, registry: &str) -> Result<Option<Challenge>, RegistryError> {
    let broken = |source: reqwest::Error| RegistryError::Connection {
        registry: registry.to_owned(),
        source: source.without_url(),
    };
    let url = format!("{}/v2/", base.as_str().trim_end_matches('/'));
    let response = http.get(url).send().map_err(broken)?;
    match response.status() {
        StatusCode::UNAUTHORIZED => Ok(Challenge::of(response.headers())),
        StatusCode::NOT_FOUND => Err(RegistryError::Protocol {
            registry: registry.to_owned(),
            reason: "it has no /v2/, so it is no registry".to_owned(),
        }),
        // A registry that is busy says so again when it is asked for something.
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bases(registry: &str, insecure: bool) -> Vec<String> {
        let settings = RegistrySettings { insecure, ..RegistrySettings::default() };
        let host = host_of(registry).unwrap();
        candidates(registry, host, &settings).into_iter().map(|candidate| candidate.base).collect()
    }

    #[test]
    fn http_is_tried_for_insecure_registries_only_and_last() {
        assert_eq!(bases("docker.io", false), ["https://registry-1.docker.io"]);
        assert_eq!(bases("a.example:5000", false), ["https://a.example:5000"]);
        assert_eq!(bases("a.example:5000", true), ["https://a.example:5000", "http://a.example:5000"]);
        assert_eq!(bases("http://a.example/", false), ["http://a.example"]);
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in ["", "ftp://a", "https://", "a b", "user@host", "https://user:pw@host/"] {
            assert!(matches!(host_of(text), Err(RegistryError::Host(_))), "{text}");
        }
        assert_eq!(host_of("https://a.example:1/x").unwrap(), "a.example:1");
    }
}
