//! podman with crun, the engine that Holm's verbs are compared with.

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

    /// `podman` with these arguments.
    pub(crate) fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new("podman");
        let options = ["--storage-driver=overlay", "--runtime=crun", "--cgroup-manager=cgroupfs"];
        // Its own mounts, too: whoever else uses containers/storage at the time would lose count of theirs.
        let run_root = self.root.with_extension("run");
        command.arg("--root").arg(&self.root).arg("--runroot").arg(run_root).args(options).args(arguments);
        command
    }

    /// A container of the busybox image that sleeps; gives its ID.
    pub(crate) fn sleeper(&self, image: &Path) -> Result<String> {
        let loaded = succeed(self.command(["load", "-q", "-i"]).arg(image))?;
        let image = loaded.rsplit(' ').next().unwrap_or_default();
        succeed(&mut self.command(["run", "-d", "--network=none", image, "sleep", "1000"]))
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // Its storage has mounts and files of its own making.
        let _ = succeed(&mut self.command(["rm", "-f", "-a", "-t", "0"]));
        let _ = succeed(&mut self.command(["system", "reset", "--force"]));
    }
}
