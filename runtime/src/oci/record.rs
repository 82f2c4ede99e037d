//! What is known of a container: `state.json`, and what `state` prints of it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use oci_spec::runtime::Hook;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::role::Role;
use super::root::RootDevice;

/// Where a container is in its life (runtime.md, "State").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Being made.
    Creating,
    /// Made; the program has not been executed.
    Created,
    /// The program runs.
    Running,
    /// Its processes stand still.
    Paused,
    /// Its supervisor is gone.
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        })
    }
}

/// What is stored. Written by `create` before anything is made, and by the supervisor from then on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Record {
    /// The bundle's.
    pub oci_version: String,
    /// As the engine calls it.
    pub id: String,
    /// The supervisor's; 0 before there is one.
    pub pid: u32,
    /// While there is a supervisor: without one it is [`Status::Stopped`].
    pub status: Status,
    /// Absolute.
    pub bundle: PathBuf,
    /// Absolute.
    pub rootfs: PathBuf,
    /// What its root is on, if not in the bundle.
    #[serde(default)]
    pub(super) root_device: Option<RootDevice>,
    /// When `create` was called.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    /// The bundle's.
    pub annotations: BTreeMap<String, String>,
    /// When it has stopped: something in it was killed for memory.
    #[serde(default)]
    pub oom_killed: bool,
    /// What it has to do with others.
    #[serde(default)]
    pub(super) role: Role,
    /// Its cgroup on the host; removed with it.
    pub cgroup: Option<PathBuf>,
    /// What runs when it is deleted: the bundle may be gone by then.
    pub poststop: Vec<Hook>,
}

/// What `state` and `list` print, and hooks read: runc's fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OciState {
    /// The bundle's.
    pub oci_version: String,
    /// As the engine calls it.
    pub id: String,
    /// The process whose life is the container's; 0 when it has stopped.
    pub pid: u32,
    /// Where it is in its life.
    pub status: Status,
    /// Absolute.
    pub bundle: PathBuf,
    /// Absolute.
    pub rootfs: PathBuf,
    /// When `create` was called.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    /// The bundle's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Who made it.
    pub owner: String,
}

impl Record {
    /// Whether it is in the VM of another container: what its cgroup on the host counts is not its workload then.
    #[must_use]
    pub fn is_in_anothers_vm(&self) -> bool {
        matches!(self.role, Role::Member(_))
    }

    /// The state, with the status that it really has.
    #[must_use]
    pub fn state(&self, status: Status) -> OciState {
        OciState {
            oci_version: self.oci_version.clone(),
            id: self.id.clone(),
            pid: if status == Status::Stopped { 0 } else { self.pid },
            status,
            bundle: self.bundle.clone(),
            rootfs: self.rootfs.clone(),
            created: self.created,
            annotations: self.annotations.clone(),
            owner: "root".to_owned(),
        }
    }
}
