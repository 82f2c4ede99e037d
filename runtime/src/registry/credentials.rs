//! Who we are at a registry: Docker's config.json and its credential helpers, read and written as Docker does.
//!
//! `auths` in config.json has `base64(user:password)` for each registry. With `credHelpers` (one registry) or
//! `credsStore` (all), a program `docker-credential-<name>` keeps the secret instead, and `auths` is left without it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use docker_credential::{CredentialRetrievalError, DockerCredential};
use serde_json::{Map, Value, json};

use super::RegistryError;
use crate::durable;

/// Docker Hub's key in config.json.
const HUB_KEY: &str = "https://index.docker.io/v1/";
/// What helpers answer when they know nothing (github.com/docker/docker-credential-helpers).
const UNKNOWN: &str = "credentials not found";

/// A secret for one registry.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A user's name and password, or an access token in the password's place.
    Password {
        /// The user.
        user: String,
        /// The secret.
        password: String,
    },
    /// An OAuth2 refresh token.
    IdentityToken(String),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Password { user, .. } => write!(f, "Password({user})"),
            Self::IdentityToken(_) => write!(f, "IdentityToken"),
        }
    }
}

/// The file `config.json`, and the helpers that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialStore {
    path: Option<PathBuf>,
}

impl CredentialStore {
    /// In `$DOCKER_CONFIG`, or else `~/.docker`; without either there are no credentials.
    #[must_use]
    pub fn from_environment() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let directory =
            variable("DOCKER_CONFIG").or_else(|| variable("HOME").map(|home| home.join(".docker")));
        Self { path: directory.map(|directory| directory.join("config.json")) }
    }

    /// In this directory.
    #[must_use]
    pub fn at(directory: &Path) -> Self {
        Self { path: Some(directory.join("config.json")) }
    }

    /// The file, if there can be one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The credential for a registry (`HOST[:PORT]`), if there is one.
    ///
    /// # Errors
    /// The file or a helper's answer cannot be read.
    pub fn find(&self, registry: &str) -> Result<Option<Credential>, RegistryError> {
        let Some(path) = &self.path else { return Ok(None) };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(RegistryError::file("read", path)(error)),
        };
        match docker_credential::get_credential_from_reader(io::BufReader::new(file), key(registry)) {
            Ok(DockerCredential::UsernamePassword(user, password)) if !user.is_empty() => {
                Ok(Some(Credential::Password { user, password }))
            }
            Ok(DockerCredential::UsernamePassword(..))
            | Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
            Ok(DockerCredential::IdentityToken(token)) => Ok(Some(Credential::IdentityToken(token))),
            Err(CredentialRetrievalError::HelperFailure { stdout, .. }) if stdout.contains(UNKNOWN) => {
                Ok(None)
            }
            Err(source) => Err(RegistryError::CredentialLookup { registry: registry.to_owned(), source }),
        }
    }

    /// Keeps a name and password for a registry.
    ///
    /// # Errors
    /// The file cannot be read or written, or the helper fails.
    pub fn store(&self, registry: &str, user: &str, password: &str) -> Result<(), RegistryError> {
        let key = key(registry);
        self.change(|config| {
            let entry = match helper(config, key) {
                Some(helper) => {
                    let secret = json!({ "ServerURL": key, "Username": user, "Secret": password });
                    run_helper(&helper, "store", &secret.to_string())?;
                    json!({})
                }
                None => json!({ "auth": STANDARD.encode(format!("{user}:{password}")) }),
            };
            let auths = config.entry("auths").or_insert_with(|| json!({}));
            match auths.as_object_mut() {
                Some(auths) => auths.insert(key.to_owned(), entry),
                None => config.insert("auths".to_owned(), json!({ key: entry })),
            };
            Ok(true)
        })
        .map(drop)
    }

    /// Forgets the credential for a registry; whether there was one.
    ///
    /// # Errors
    /// The file cannot be read or written, or the helper fails.
    pub fn erase(&self, registry: &str) -> Result<bool, RegistryError> {
        let key = key(registry);
        if self.read()?.is_empty() {
            return Ok(false);
        }
        self.change(|config| {
            let auths = config.get_mut("auths").and_then(Value::as_object_mut);
            if auths.and_then(|auths| auths.remove(key)).is_none() {
                return Ok(false);
            }
            helper(config, key).map_or(Ok(()), |helper| run_helper(&helper, "erase", key))?;
            Ok(true)
        })
    }

    fn read(&self) -> Result<Map<String, Value>, RegistryError> {
        let Some(path) = &self.path else { return Ok(Map::new()) };
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| RegistryError::Credentials { path: path.clone(), source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Map::new()),
            Err(error) => Err(RegistryError::file("read", path)(error)),
        }
    }

    /// Changes the file while no other command of Holm does, and says whether `change` did. It is for its owner only, and written through
    /// a symlink if it is one. What commands that were killed left beside it goes: it may hold secrets.
    fn change(
        &self,
        change: impl FnOnce(&mut Map<String, Value>) -> Result<bool, RegistryError>,
    ) -> Result<bool, RegistryError> {
        let no_home = || io::Error::new(io::ErrorKind::NotFound, "neither DOCKER_CONFIG nor HOME is set");
        let named = self.path.clone().ok_or_else(no_home);
        let path = named.map_err(RegistryError::file("write", Path::new("config.json")))?;
        let path = fs::canonicalize(&path).unwrap_or(path);
        let failed = || RegistryError::file("write", &path);
        let directory = path.parent().unwrap_or(Path::new("/"));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed())?;
        let lock = File::open(directory).map_err(failed())?;
        lock.lock().map_err(failed())?;
        for left in durable::leftovers(directory).map_err(failed())? {
            fs::remove_file(left).map_err(failed())?;
        }
        let mut config = self.read()?;
        if !change(&mut config)? {
            return Ok(false);
        }
        let text = serde_json::to_vec_pretty(&config)
            .map_err(|source| RegistryError::Credentials { path: path.clone(), source })?;
        // Temporary files are made with mode 0600.
        durable::write(&path, &text).map_err(failed())?;
        Ok(true)
    }
}

/// A registry's key in config.json.
fn key(registry: &str) -> &str {
    if registry == "docker.io" { HUB_KEY } else { registry }
}

/// The helper that keeps this registry's secret.
fn helper(config: &Map<String, Value>, key: &str) -> Option<String> {
    let of_registry = config.get("credHelpers").and_then(|helpers| helpers.get(key));
    let name = of_registry.or_else(|| config.get("credsStore"))?.as_str()?;
    (!name.is_empty()).then(|| name.to_owned())
}

fn run_helper(helper: &str, action: &'static str, input: &str) -> Result<(), RegistryError> {
    let failed = |reason: String| RegistryError::Helper { helper: helper.to_owned(), action, reason };
    let mut child = Command::new(format!("docker-credential-{helper}"))
        .arg(action)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read says why on its standard output.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().replace('\n', " ");
    if output.status.success() || said.contains(UNKNOWN) { Ok(()) } else { Err(failed(said)) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn password(user: &str, password: &str) -> Option<Credential> {
        Some(Credential::Password { user: user.to_owned(), password: password.to_owned() })
    }

    #[test]
    fn what_is_stored_is_found_and_erased_and_the_rest_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let store = CredentialStore::at(&directory.path().join("docker"));
        assert_eq!(store.find("a.example:5000").unwrap(), None);
        assert!(!store.erase("a.example:5000").unwrap());
        store.store("a.example:5000", "me", "se:cret").unwrap();
        let path = store.path().unwrap();
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut json: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        assert_eq!(json["auths"]["a.example:5000"]["auth"], "bWU6c2U6Y3JldA==");
        json["psFormat"] = "x".into();
        fs::write(path, json.to_string()).unwrap();
        store.store("docker.io", "hub", "pw").unwrap();
        assert_eq!(store.find("a.example:5000").unwrap(), password("me", "se:cret"));
        assert_eq!(store.find("docker.io").unwrap(), password("hub", "pw"));
        assert!(store.erase("docker.io").unwrap());
        assert_eq!(store.find("docker.io").unwrap(), None);
        let json: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        assert_eq!(json["psFormat"], "x");
    }

    #[test]
    fn commands_at_once_lose_nothing_and_take_away_what_killed_ones_left() {
        let directory = tempfile::tempdir().unwrap();
        let store = CredentialStore::at(directory.path());
        let left = directory.path().join(".new-killed");
        fs::write(&left, "secret").unwrap();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let store = &store;
                scope.spawn(move || store.store(&format!("{number}.example"), "me", "pw").unwrap());
            }
        });
        assert!(!left.exists());
        for number in 0..8 {
            assert_eq!(store.find(&format!("{number}.example")).unwrap(), password("me", "pw"), "{number}");
        }
    }

    #[test]
    fn a_config_that_is_no_json_is_no_reason_to_overwrite_it() {
        let directory = tempfile::tempdir().unwrap();
        let store = CredentialStore::at(directory.path());
        fs::write(store.path().unwrap(), "{").unwrap();
        assert!(store.store("a.example", "me", "pw").is_err());
        assert!(store.find("a.example").is_err());
        assert_eq!(fs::read(store.path().unwrap()).unwrap(), b"{");
    }
}
