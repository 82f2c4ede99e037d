//! Where state lives: `HOLM_ROOT` (default `/var/lib/holm`, survives a reboot) and `HOLM_RUN` (default `/run/holm`, does
//! not).
//!
//! ```text
//! <root>/image/...                          the image store (crate::image)
//! <root>/containers/<id>/record.json        what was asked; written once
//! <root>/containers/<id>/state.json         what became of it
//! <root>/containers/<id>/name                its name, once it was renamed
//! <root>/containers/<id>/restart            its restart policy, once it was changed
//! <root>/containers/<id>/health.json        what healthchecks found
//! <root>/containers/<id>/lock                held by whoever changes it: its supervisor, while it runs
//! <root>/containers/<id>/layer.ext4         the writable layer
//! <root>/containers/<id>/<id>-json.log      its output (crate::logs); older files end in .1, .2, ...
//! <root>/names/<name>                       holds the id that owns the name
//! <root>/volumes/<name>/                     a volume (crate::volume)
//! <root>/events/                            what happened (crate::events)
//! <root>/networks/                          networks and their lock (crate::network)
//! <root>/blank/<size>.ext4                  freshly made file systems, copied for each container
//! <root>/templates/                         booted VMs (crate::template), or `HOLM_TEMPLATES` for several roots together
//! <run>/<id>/                               sockets of the running container
//! <run>/oci/<name>/                         sockets of a container of an OCI bundle (crate::oci)
//! <run>/networks/                           addresses of running containers (crate::network)
//! ```

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The two roots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directories {
    root: PathBuf,
    run: PathBuf,
    templates: PathBuf,
}

/// A directory could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot create {}", path.display())]
pub struct DirectoriesError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Directories {
    /// Takes the roots from the environment.
    #[must_use]
    pub fn from_environment() -> Self {
        let path = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let root = path("HOLM_ROOT").unwrap_or_else(|| "/var/lib/holm".into());
        let run = path("HOLM_RUN").unwrap_or_else(|| "/run/holm".into());
        let templates = path("HOLM_TEMPLATES");
        let own = Self::at(root, run);
        Self { templates: templates.unwrap_or(own.templates), ..own }
    }

    /// Roots of one's own, for tests.
    #[must_use]
    pub fn at(root: PathBuf, run: PathBuf) -> Self {
        Self { templates: root.join("templates"), root, run }
    }

    /// Makes both roots and what stands right below them, for the owner only.
    ///
    /// # Errors
    /// Names the directory that cannot be made.
    pub fn create(&self) -> Result<(), DirectoriesError> {
        for path in [&self.root, &self.containers(), &self.names(), &self.blank(), &self.run] {
            create_private(path)?;
        }
        Ok(())
    }

    /// The durable root.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// One directory per container.
    #[must_use]
    pub fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }

    /// One file per name.
    #[must_use]
    pub fn names(&self) -> PathBuf {
        self.root.join("names")
    }

    /// One directory per volume.
    #[must_use]
    pub fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    /// One file per network.
    #[must_use]
    pub fn networks(&self) -> PathBuf {
        self.root.join("networks")
    }

    /// Blank file systems.
    #[must_use]
    pub fn blank(&self) -> PathBuf {
        self.root.join("blank")
    }

    /// One directory per template.
    #[must_use]
    pub fn templates(&self) -> PathBuf {
        self.templates.clone()
    }

    /// The volatile root.
    #[must_use]
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// Sockets of one container.
    #[must_use]
    pub fn run_of(&self, id: &str) -> PathBuf {
        self.run.join(id)
    }
}

/// Makes a directory, and those above it, with mode 0700; one that exists is fine.
///
/// # Errors
/// Names the directory.
pub(crate) fn create_private(path: &Path) -> Result<(), DirectoriesError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| DirectoriesError { path: path.to_owned(), source })
}
