//! What runs in the comparison: `holm` with a store of its own, and a bundle of the same image for crun and runc.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A store with the busybox image in it; removed with the value.
#[derive(Debug)]
pub(crate) struct Holm {
    directory: tempfile::TempDir,
    image: PathBuf,
}

impl Holm {
    /// Loads the image.
    pub(crate) fn prepare(image: &Path) -> Result<Self> {
        let holm = Self { directory: tempfile::tempdir_in("/var/tmp")?, image: image.to_owned() };
        succeed(holm.command(["load", "-q", "-i"]).arg(image))?;
        Ok(holm)
    }

    /// `holm` with these arguments.
    pub(crate) fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new("holm");
        command.args(arguments).envs(self.environment());
        command
    }

    /// Where its state is.
    pub(crate) fn environment(&self) -> [(&'static str, PathBuf); 2] {
        [("HOLM_ROOT", self.root()), ("HOLM_RUN", self.directory.path().join("run"))]
    }

    /// What it keeps.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    /// The archive that was loaded.
    pub(crate) fn image(&self) -> &Path {
        &self.image
    }

    /// A directory for a baseline's files.
    pub(crate) fn scratch(&self, name: &str) -> Result<PathBuf> {
        let path = self.directory.path().join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// An OCI bundle that runs `true` from the same busybox.
    pub(crate) fn bundle(&self) -> Result<PathBuf> {
        let bundle = self.scratch("bundle")?;
        if bundle.join("config.json").exists() {
            return Ok(bundle);
        }
        let rootfs = bundle.join("rootfs/bin");
        fs::create_dir_all(&rootfs)?;
        fs::copy("/bin/busybox", rootfs.join("busybox")).context("busybox-static")?;
        fs::hard_link(rootfs.join("busybox"), rootfs.join("true"))?;
        succeed(Command::new("runc").args(["spec"]).current_dir(&bundle))?;
        let config = bundle.join("config.json");
        let mut spec: serde_json::Value = serde_json::from_slice(&fs::read(&config)?)?;
        spec["process"]["args"] = serde_json::json!(["/bin/true"]);
        spec["process"]["terminal"] = false.into();
        fs::write(&config, serde_json::to_vec(&spec)?)?;
        Ok(bundle)
    }
}

/// Runs a command that must succeed; gives its standard output.
pub(crate) fn succeed(command: &mut Command) -> Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
