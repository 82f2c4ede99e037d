//! config-linux.md, but for resources and seccomp.

use std::collections::HashMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::{Resources, Seccomp};

/// The Linux part of a container's configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Linux {
    pub(crate) namespaces: Vec<Namespace>,
    pub(crate) time_offsets: HashMap<String, TimeOffset>,
    pub(crate) devices: Vec<Device>,
    pub(crate) resources: Resources,
    pub(crate) seccomp: Option<Seccomp>,
    pub(crate) sysctl: HashMap<String, String>,
    pub(crate) rootfs_propagation: String,
    pub(crate) masked_paths: Vec<PathBuf>,
    pub(crate) readonly_paths: Vec<PathBuf>,
    pub(crate) personality: Option<Personality>,
}

/// A namespace to make, or (with a path) to join.
#[derive(Debug, Deserialize)]
pub(crate) struct Namespace {
    #[serde(rename = "type")]
    pub(crate) kind: NamespaceKind,
    #[serde(default)]
    pub(crate) path: PathBuf,
}

/// The kinds of namespaces(7).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NamespaceKind {
    Pid,
    Network,
    Mount,
    Ipc,
    Uts,
    User,
    Cgroup,
    Time,
}

/// What a time namespace adds to a clock.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TimeOffset {
    pub(crate) secs: i64,
    pub(crate) nanosecs: u32,
}

/// A device node to make.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Device {
    pub(crate) path: PathBuf,
    /// `c`, `u`, `b` or `p`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) major: u64,
    #[serde(default)]
    pub(crate) minor: u64,
    pub(crate) file_mode: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
}

/// Execution domain of personality(2).
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Personality {
    /// `LINUX` or `LINUX32`.
    pub(crate) domain: String,
}
