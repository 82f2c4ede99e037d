//! What the configuration says about registries.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::Deserialize;

use super::RegistryError;
use crate::config::Config;
use crate::image::{InvalidReference, Reference};

const DEFAULT_REGISTRY: &str = "docker.io";

/// Which registries there are, and how they are reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryConfig {
    /// Where names without a registry are pulled from, instead of docker.io.
    pub default_registry: Option<String>,
    /// By `HOST` or `HOST:PORT`.
    pub registry: BTreeMap<String, RegistrySettings>,
}

/// What is special about one registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RegistrySettings {
    /// Certificates are not checked, and HTTP will do where there is no HTTPS.
    #[serde(default)]
    pub insecure: bool,
    /// PEM files of further CAs.
    #[serde(default)]
    pub ca: Vec<PathBuf>,
    /// Asked before the registry itself when pulling, in this order: `HOST`, `HOST:PORT` or a URL.
    #[serde(default)]
    pub mirrors: Vec<String>,
}

impl RegistryConfig {
    /// What the configuration file says.
    ///
    /// # Errors
    /// The file cannot be read or is not valid.
    pub fn from_environment() -> Result<Self, RegistryError> {
        Ok(Config::from_environment()?.registries())
    }

    /// The full name for what the user wrote: without a registry it is in the default one.
    ///
    /// # Errors
    /// It is no name.
    pub fn complete(&self, name: &str) -> Result<Reference, InvalidReference> {
        let reference: Reference = name.parse()?;
        let default = self.default_registry.as_deref().unwrap_or(DEFAULT_REGISTRY);
        // `docker.io/x` is explicit; so is any other host.
        if reference.registry() != DEFAULT_REGISTRY || default == DEFAULT_REGISTRY || has_host(name) {
            return Ok(reference);
        }
        format!("{default}/{name}").parse()
    }

    /// What is said about a registry; Docker's rule for loopback ones where nothing is.
    pub(super) fn settings(&self, registry: &str) -> RegistrySettings {
        let unnamed = || RegistrySettings { insecure: is_loopback(registry), ..RegistrySettings::default() };
        self.registry.get(registry).cloned().unwrap_or_else(unnamed)
    }
}

/// Whether a name begins with a registry.
fn has_host(name: &str) -> bool {
    name.split_once('/').is_some_and(|(first, _)| first == "localhost" || first.contains(['.', ':']))
}

/// `localhost` and 127.0.0.0/8, with any port.
fn is_loopback(registry: &str) -> bool {
    let host = registry.split_once(':').map_or(registry, |(host, _)| host);
    host == "localhost" || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> RegistryConfig {
        Config::parse(text).unwrap().registries()
    }

    #[test]
    fn names_without_a_registry_are_in_the_default_one() {
        let config = config("default-registry = 'r.example:5000'");
        for (name, full) in [
            ("busybox", "r.example:5000/busybox:latest"),
            ("a/b:1", "r.example:5000/a/b:1"),
            ("docker.io/busybox", "docker.io/library/busybox:latest"),
            ("quay.io/a", "quay.io/a:latest"),
        ] {
            assert_eq!(config.complete(name).unwrap().to_string(), full);
        }
        let plain = RegistryConfig::default().complete("busybox").unwrap();
        assert_eq!(plain.to_string(), "docker.io/library/busybox:latest");
    }

    #[test]
    fn loopback_registries_are_insecure_unless_they_are_named() {
        let config = config("[registry.'127.0.0.1:5']");
        for (registry, insecure) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("127.8.9.1:80", true),
            ("127.0.0.1:5", false),
            ("127.example", false),
            ("10.0.0.1:80", false),
        ] {
            assert_eq!(config.settings(registry).insecure, insecure, "{registry}");
        }
    }
}
