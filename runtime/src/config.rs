//! The configuration file: docs/configuration.md says what is in it.
//!
//! Trust: the host's owner wrote it. What it does not know is refused, so that a typing mistake does not pass for a setting.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};

use crate::container::settings::{
    LayerSize, LogConfig, LogConfigError, LogDriver, LogOption, MemorySize, NetworkMode, ShmSize, Ulimit,
};
use crate::host::is_rootless;
use crate::registry::{RegistryConfig, RegistrySettings};

const DEFAULT_PATH: &str = "/etc/holm/config.toml";

/// The whole file.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    default_registry: Option<String>,
    registry: BTreeMap<String, RegistrySettings>,
    container: ContainerDefaults,
}

/// What a container gets that is made without saying otherwise.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ContainerDefaults {
    /// `--init`.
    pub init: bool,
    log_driver: LogDriver,
    log_opts: BTreeMap<String, String>,
    /// `--network`, of a single one without details.
    #[serde(deserialize_with = "parsed")]
    pub network: NetworkMode,
    /// `--shm-size`.
    #[serde(deserialize_with = "parsed")]
    pub shm_size: ShmSize,
    /// `--storage-opt size=`.
    #[serde(deserialize_with = "layer_size")]
    pub storage_size: LayerSize,
    #[serde(deserialize_with = "all_parsed")]
    ulimits: Vec<Ulimit>,
    /// `--vm-memory`.
    #[serde(deserialize_with = "some_parsed")]
    pub vm_memory: Option<MemorySize>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not TOML, or says something unknown.
    #[error("{} is not valid", path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
}

impl Config {
    /// Reads `$HOLM_CONFIG`; or the first there is of an ordinary user's own and `/etc/holm/config.toml`.
    ///
    /// # Errors
    /// The file cannot be read or is not valid.
    pub fn from_environment() -> Result<Self, ConfigError> {
        match std::env::var_os("HOLM_CONFIG").filter(|path| !path.is_empty()) {
            Some(path) => Self::read(Path::new(&path)),
            None => Self::read_first(&[own_path(), Some(DEFAULT_PATH.into())]),
        }
    }

    fn read_first(paths: &[Option<PathBuf>]) -> Result<Self, ConfigError> {
        for path in paths.iter().flatten() {
            match Self::read(path) {
                Err(ConfigError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                other => return other,
            }
        }
        Ok(Self::default())
    }

    fn read(path: &Path) -> Result<Self, ConfigError> {
        let text =
            fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text)
            .map_err(|source| ConfigError::Invalid { path: path.to_owned(), source: Box::new(source) })
    }

    pub(crate) fn parse(text: &str) -> Result<Self, toml::de::Error> {
        let config: Self = toml::from_str(text)?;
        // A driver that takes no such option.
        config.container.log_config(None, Vec::new()).map_err(toml::de::Error::custom)?;
        Ok(config)
    }

    /// What is said about registries.
    #[must_use]
    pub fn registries(self) -> RegistryConfig {
        RegistryConfig { default_registry: self.default_registry, registry: self.registry }
    }

    /// What is said about containers.
    #[must_use]
    pub fn container(self) -> ContainerDefaults {
        self.container
    }
}

/// An ordinary user's own file: `$XDG_CONFIG_HOME/holm/config.toml`.
fn own_path() -> Option<PathBuf> {
    if !is_rootless() {
        return None;
    }
    let given = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let directory = given.or_else(|| Some(std::env::home_dir()?.join(".config")))?;
    Some(directory.join("holm/config.toml"))
}

impl ContainerDefaults {
    /// Where a container's output goes that asked for these. As in Docker the configured options are those of the
    /// configured driver, and no other's.
    ///
    /// # Errors
    /// As [`LogConfig::new`].
    pub fn log_config(
        &self,
        driver: Option<LogDriver>,
        options: Vec<LogOption>,
    ) -> Result<LogConfig, LogConfigError> {
        let driver = driver.unwrap_or(self.log_driver);
        let defaults = if driver == self.log_driver { self.log_opts.clone() } else { BTreeMap::new() };
        let defaults = defaults.into_iter().map(|(key, value)| LogOption::new(key, value));
        LogConfig::new(driver, defaults.chain(options).collect())
    }

    /// The limits of a container that asked for these: each name once.
    #[must_use]
    pub fn ulimits(&self, mut asked: Vec<Ulimit>) -> Vec<Ulimit> {
        let others = self.ulimits.iter().filter(|limit| asked.iter().all(|other| other.name != limit.name));
        let others: Vec<_> = others.cloned().collect();
        asked.extend(others);
        asked
    }
}

fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

fn some_parsed<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    parsed(deserializer).map(Some)
}

fn all_parsed<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
}

fn layer_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LayerSize, D::Error> {
    format!("size={}", String::deserialize(deserializer)?).parse().map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(text: &str) -> ContainerDefaults {
        Config::parse(&format!("[container]\n{text}")).unwrap().container()
    }

    #[test]
    fn the_documented_example_is_read() {
        let text = include_str!("../../docs/configuration.md");
        let example = text.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
        let config = Config::parse(example).unwrap();
        let defaults = config.clone().container();
        assert!(defaults.init && defaults.vm_memory.is_some() && defaults.ulimits.len() == 1);
        assert_eq!(defaults.network, NetworkMode::None);
        assert_eq!((defaults.shm_size.bytes(), defaults.storage_size.bytes()), (128 << 20, 20 << 30));
        assert_eq!(defaults.log_config(None, Vec::new()).unwrap().rotation().max_files, 3);
        let registries = config.registries();
        assert_eq!(registries.default_registry.as_deref(), Some("registry.example:5000"));
        assert!(registries.registry["registry.example:5000"].ca.len() == 1);
        assert!(registries.registry["builds.example:5000"].insecure);
        assert_eq!(registries.registry["docker.io"].mirrors.len(), 2);
    }

    #[test]
    fn without_a_file_containers_are_as_without_flags() {
        let defaults = Config::parse("").unwrap().container();
        assert_eq!(defaults.log_config(None, Vec::new()).unwrap(), LogConfig::default());
        assert_eq!((defaults.shm_size, defaults.storage_size), (ShmSize::default(), LayerSize::default()));
        assert!(!defaults.init && defaults.vm_memory.is_none() && defaults.ulimits(Vec::new()).is_empty());
    }

    #[test]
    fn a_typing_mistake_is_refused() {
        for text in [
            "default-registri = 'x'",
            "[registry.'a:1']\ninsecur = true",
            "[container]\nulimit = []",
            "[container]\nulimits = ['nofiles=1']",
            "[container]\nshm-size = '0'",
            "[container]\nnetwork = 'host'",
            "[container]\nstorage-size = '1k'",
            "[container]\nlog-driver = 'syslog'",
            "[container]\nlog-opts = { max-sise = '1m' }",
            "[container]\nlog-driver = 'journald'\nlog-opts = { max-size = '1m' }",
        ] {
            assert!(Config::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_a_container_asks_for_goes_before_the_defaults() {
        let defaults =
            container("log-opts = { max-size = '1m', max-file = '2' }\nulimits = ['nofile=9', 'core=0']");
        let asked = vec!["max-file=7".parse().unwrap()];
        let rotation = defaults.log_config(None, asked).unwrap().rotation();
        assert_eq!((rotation.max_bytes, rotation.max_files), (Some(1_000_000), 7));
        let other = defaults.log_config(Some(LogDriver::Journald), Vec::new()).unwrap();
        assert_eq!(other, LogConfig::new(LogDriver::Journald, Vec::new()).unwrap());
        let limits = defaults.ulimits(vec!["nofile=5:6".parse().unwrap()]);
        let limits: Vec<_> = limits.iter().map(|limit| (limit.name.as_str(), limit.soft)).collect();
        assert_eq!(limits, [("nofile", 5), ("core", 0)]);
    }
}
