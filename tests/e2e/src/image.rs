//! The images that tests run, put into place by the Makefile.

use std::path::PathBuf;

/// Where the Makefile puts archives on the host that runs the tests.
const ARCHIVES: &str = "/var/lib/holm-tests/images";

/// An image archive of the project's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestImage {
    /// Static busybox with all applets; users root, daemon, www-data, nobody.
    Busybox,
    /// bookworm with bash, perl and apt.
    Debian,
    /// bookworm with PostgreSQL and a cluster of it, SQLite, git and Python.
    Databases,
}

impl TestImage {
    /// Its name in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Busybox => "busybox",
            Self::Debian => "debian",
            Self::Databases => "databases",
        }
    }

    /// Its OCI archive.
    #[must_use]
    pub fn archive(self) -> PathBuf {
        let directory = std::env::var_os("HOLM_TEST_IMAGES").map_or_else(|| ARCHIVES.into(), PathBuf::from);
        directory.join(format!("{}.tar", self.name()))
    }
}
