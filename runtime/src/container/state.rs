//! What became of a container: rewritten whole at each change.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Where a container is in its life (M15).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Never started.
    #[default]
    Created,
    /// Its workload runs.
    Running,
    /// Its processes are stopped (`holm pause`).
    Paused,
    /// Its workload ended and will be started again by the restart policy.
    Restarting,
    /// Its workload ended.
    Exited,
    /// Its files are being deleted. Told by its directory's name and never written.
    Removing,
    /// Its removal failed; the next one goes on (M21).
    Dead,
}

impl Status {
    /// Whether a supervisor stands behind it.
    #[must_use]
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Restarting)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
            Self::Removing => "removing",
            Self::Dead => "dead",
        })
    }
}

/// The state on disk, with Docker's field names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct State {
    /// Where it is.
    pub status: Status,
    /// The VMM's process on the host while running, otherwise 0.
    pub pid: u32,
    /// The supervisor's process while running, otherwise 0.
    pub supervisor_pid: u32,
    /// Virtual CPUs of the VM while running, otherwise 0.
    pub vm_cpus: u8,
    /// Its memory in MiB while running, otherwise 0.
    pub vm_memory_mib: u32,
    /// Of the last run.
    pub exit_code: i32,
    /// How often the restart policy started it since a user did.
    pub restart_count: u32,
    /// Why the last run failed or its VM ended early.
    pub error: String,
    /// The workload was killed for memory.
    #[serde(rename = "OOMKilled")]
    pub oom_killed: bool,
    /// When the last run began.
    #[serde(with = "time::serde::rfc3339::option")]
    pub started_at: Option<OffsetDateTime>,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339::option")]
    pub finished_at: Option<OffsetDateTime>,
}
