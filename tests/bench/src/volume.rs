//! A block volume that is there as long as the value.

use std::path::PathBuf;

use anyhow::Result;

use crate::containers::{Holm, succeed};

/// More than any figure writes.
const SIZE: &str = "size=512m";

/// The volume.
#[derive(Debug)]
pub(crate) struct Volume<'a> {
    holm: &'a Holm,
    name: String,
}

impl<'a> Volume<'a> {
    /// Makes it.
    pub(crate) fn create(holm: &'a Holm, name: &str) -> Result<Self> {
        succeed(&mut holm.command(["volume", "create", "--driver", "block", "--opt", SIZE, name]))?;
        Ok(Self { holm, name: name.to_owned() })
    }

    /// What containers call it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The file that is its disk.
    pub(crate) fn image(&self) -> Result<PathBuf> {
        let what = ["volume", "inspect", "-f", "{{.Mountpoint}}", &self.name];
        Ok(succeed(&mut self.holm.command(what))?.into())
    }
}

impl Drop for Volume<'_> {
    fn drop(&mut self) {
        if let Err(error) = succeed(&mut self.holm.command(["volume", "rm", &self.name])) {
            eprintln!("a volume stays: {error:#}");
        }
    }
}
