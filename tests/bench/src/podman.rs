//! podman: the engine that Holm's verbs are compared with, over crun, and one that Holm is a runtime of.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::containers::succeed;

/// podman with storage of its own.
#[derive(Debug)]
pub(crate) struct Podman {
    root: PathBuf,
}

impl Podman {
    /// Nothing is in it.
    pub(crate) fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// `podman` over crun with these arguments.
    pub(crate) fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        self.over("crun", arguments)
    }

    /// The same over another runtime, by name or path.
    pub(crate) fn over<'a>(&self, runtime: &str, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new("podman");
        let options = ["--storage-driver=overlay", "--cgroup-manager=cgroupfs"];
        // Its own mounts, too: whoever else uses containers/storage at the time would lose count of theirs.
        let run_root = self.root.with_extension("run");
        command.arg("--runtime").arg(runtime);
        command.arg("--root").arg(&self.root).arg("--runroot").arg(run_root).args(options).args(arguments);
        command
    }

    /// Loads an archive; gives the image's name.
    pub(crate) fn load(&self, archive: &Path) -> Result<String> {
        let loaded = succeed(self.command(["load", "-q", "-i"]).arg(archive))?;
        Ok(loaded.rsplit(' ').next().unwrap_or_default().to_owned())
    }

    /// A container of the busybox image that sleeps; gives its ID.
    pub(crate) fn sleeper(&self, archive: &Path) -> Result<String> {
        let image = self.load(archive)?;
        succeed(&mut self.command(["run", "-d", "--network=none", &image, "sleep", "1000"]))
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // Its storage has mounts and files of its own making.
        let _ = succeed(&mut self.command(["rm", "-f", "-a", "-t", "0"]));
        let _ = succeed(&mut self.command(["system", "reset", "--force"]));
    }
}
