//! Images from and to registries, over real connections: Debian's docker-registry, and a server
//! that misbehaves on purpose.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod docker_registry;
mod faults;
mod tokens;

use std::path::Path;
use std::time::Duration;

use holm_runtime::image::{ImageError, ImageStore, LayerLimits, Pulled, Reference};
use holm_runtime::registry::{CredentialStore, Registries, RegistryConfig, Retry};

/// A store, and the configuration of registries.
struct Host {
    directory: tempfile::TempDir,
    store: ImageStore,
    registries: Registries,
}

impl Host {
    fn new() -> Self {
        Self::configured(RegistryConfig::default())
    }

    fn configured(config: RegistryConfig) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let limits = LayerLimits { reserve_bytes: 0, ..LayerLimits::default() };
        let store = ImageStore::open(&directory.path().join("root")).unwrap().with_limits(limits);
        let credentials = CredentialStore::at(&directory.path().join("docker"));
        let retry = Retry { attempts: 3, first_wait: Duration::from_millis(1) };
        let registries = Registries::new(config, credentials).with_retry(retry);
        Self { directory, store, registries }
    }

    fn pull(&self, name: &str) -> Result<Pulled, ImageError> {
        self.store.pull(&self.registries, &name.parse::<Reference>().unwrap(), &mut |_| {})
    }

    /// The files of the store but the lock.
    fn files(&self) -> Vec<String> {
        fn walk(directory: &Path, all: &mut Vec<String>) {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, all);
                } else if path.file_name().unwrap() != "lock" {
                    all.push(path.display().to_string());
                }
            }
        }
        let mut all = Vec::new();
        walk(&self.directory.path().join("root"), &mut all);
        all
    }
}

/// An error with its causes on one line, as the user sees it.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
