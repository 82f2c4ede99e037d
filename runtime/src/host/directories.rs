//! Where state lives: `HOLM_ROOT` (default `/var/lib/holm`, survives a reboot) and `HOLM_RUN` (default `/run/holm`, does
//! not). An ordinary user's are `$XDG_DATA_HOME/holm` and `$XDG_RUNTIME_DIR/holm`.
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
//! <root>/containers/<id>/checkpoints/        what was saved of it (crate::checkpoint)
//! <root>/containers/<id>/<id>-json.log      its output (crate::logs); older files end in .1, .2, ...
//! <root>/containers/.once-<life>-<id>       the container of this id is of that life of the host, and not synced
//! <root>/names/<name>                       holds the id that owns the name
//! <root>/volumes/<name>/                     a volume (crate::volume)
//! <root>/events/                            what happened (crate::events)
//! <root>/networks/                          networks and their lock (crate::network)
//! <root>/blank/<size>.ext4                  freshly made file systems, copied for each container
//! <root>/oci/<name>.ext4                    the writable layer of a container of an OCI bundle, until its VM has it (crate::oci)
//! <root>/templates/                         booted VMs (crate::template), or `HOLM_TEMPLATES` for several roots together
//! <run>/life                                names this life of the host (super::life)
//! <run>/<id>/                               sockets of the running container
//! <run>/oci/<name>/                         sockets of a container of an OCI bundle (crate::oci)
//! <run>/networks/                           addresses of running containers (crate::network)
//! ```

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use super::life;
use super::user::is_rootless;
use crate::events::Journal;

/// Where session managers make a directory for each user.
const SESSIONS: &str = "/run/user";

/// The two roots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directories {
    root: PathBuf,
    run: PathBuf,
    templates: PathBuf,
}

/// A directory could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DirectoriesError {
    /// The host refuses.
    #[error("cannot create {}", path.display())]
    Create {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is there, and not for this user.
    #[error("{} belongs to another user; set HOLM_RUN to a directory of your own", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
    },
}

impl Directories {
    /// Takes the roots from the environment.
    #[must_use]
    pub fn from_environment() -> Self {
        let path = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let usual = if is_rootless() {
            Self::of_user(path, std::env::home_dir(), geteuid().as_raw(), Path::new(SESSIONS))
        } else {
            Self::at("/var/lib/holm".into(), "/run/holm".into())
        };
        let own = Self::at(path("HOLM_ROOT").unwrap_or(usual.root), path("HOLM_RUN").unwrap_or(usual.run));
        Self { templates: path("HOLM_TEMPLATES").unwrap_or(own.templates), ..own }
    }

    /// Those of an ordinary user (XDG Base Directory Specification 0.8, by which relative paths are ignored). Without
    /// `XDG_RUNTIME_DIR` it is what it would be in a session, so that a cron job finds the same containers, if that is there; or
    /// else in /tmp: the home directory may be too long a name for sockets.
    fn of_user(
        variable: impl Fn(&str) -> Option<PathBuf>,
        home: Option<PathBuf>,
        uid: u32,
        sessions: &Path,
    ) -> Self {
        let base = |name: &str| variable(name).filter(|path| path.is_absolute());
        let home = home.unwrap_or_else(|| "/".into());
        let root = base("XDG_DATA_HOME").unwrap_or_else(|| home.join(".local/share")).join("holm");
        let is_own = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|found| found.uid() == uid);
        let session = || Some(sessions.join(uid.to_string())).filter(is_own);
        let run = base("XDG_RUNTIME_DIR").or_else(session).map(|directory| directory.join("holm"));
        Self::at(root, run.unwrap_or_else(|| format!("/tmp/holm-{uid}").into()))
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
        let journal = Journal::of(&self.root);
        let below = [&*self.containers(), &self.names(), &self.blank(), journal.directory()];
        for path in [&*self.root].into_iter().chain(below).chain([&*self.run]) {
            create_private(path)?;
        }
        // Whoever came first to /tmp could have made it, and whoever owns it can put another one in its place.
        let owner = fs::symlink_metadata(&self.run).map(|metadata| metadata.uid());
        if is_rootless() && owner.is_ok_and(|owner| owner != geteuid().as_raw()) {
            return Err(DirectoriesError::Foreign { path: self.run.clone() });
        }
        life::begin(&self.run)
            .map_err(|source| DirectoriesError::Create { path: self.run.join("life"), source })
    }

    /// What this life of the host is called.
    ///
    /// # Errors
    /// [`Directories::create`] was not called in this life.
    pub(crate) fn life(&self) -> io::Result<String> {
        life::current(&self.run)
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

    /// Writable layers of containers of OCI bundles.
    #[must_use]
    pub fn oci_layers(&self) -> PathBuf {
        self.root.join("oci")
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
        .map_err(|source| DirectoriesError::Create { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_user_has_directories_of_his_own() {
        let sessions = tempfile::tempdir().unwrap();
        let uid = geteuid().as_raw();
        let of = |data: Option<&str>, run: Option<&str>| {
            let variable = |name: &str| match name {
                "XDG_DATA_HOME" => data.map(PathBuf::from),
                "XDG_RUNTIME_DIR" => run.map(PathBuf::from),
                _ => None,
            };
            let own = Directories::of_user(variable, Some("/home/u".into()), uid, sessions.path());
            (own.root.display().to_string(), own.run.display().to_string())
        };
        let pair = |root: &str, run: &str| (root.to_owned(), run.to_owned());
        let temporary = format!("/tmp/holm-{uid}");
        assert_eq!(of(None, None), pair("/home/u/.local/share/holm", &temporary));
        assert_eq!(of(Some("/d"), Some("/run/user/1000")), pair("/d/holm", "/run/user/1000/holm"));
        assert_eq!(of(Some("d"), Some("r")), pair("/home/u/.local/share/holm", &temporary));
        let session = sessions.path().join(uid.to_string());
        fs::create_dir(&session).unwrap();
        assert_eq!(of(None, None).1, session.join("holm").display().to_string());
    }
}
