//! config.md: the document's top.

use std::collections::HashMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::{Hooks, Linux, Process};

/// A container's configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Spec {
    pub(crate) root: Option<Root>,
    #[serde(default)]
    pub(crate) mounts: Vec<Mount>,
    pub(crate) process: Option<Process>,
    pub(crate) hostname: Option<String>,
    pub(crate) domainname: Option<String>,
    #[serde(default)]
    pub(crate) annotations: HashMap<String, String>,
    #[serde(default)]
    pub(crate) hooks: Hooks,
    #[serde(default)]
    pub(crate) linux: Linux,
}

/// The root file system; its path is the host's business and not read.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Root {
    #[serde(default)]
    pub(crate) readonly: bool,
}

/// One mount.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Mount {
    pub(crate) destination: PathBuf,
    #[serde(default, rename = "type")]
    pub(crate) kind: String,
    pub(crate) source: Option<PathBuf>,
    #[serde(default)]
    pub(crate) options: Vec<String>,
}
