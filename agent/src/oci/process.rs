//! config.md, "Process".

use serde::Deserialize;

/// A process to run.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Process {
    #[serde(default)]
    pub(crate) terminal: bool,
    #[serde(default)]
    pub(crate) user: User,
    #[serde(default)]
    pub(crate) args: Vec<String>,
    #[serde(default)]
    pub(crate) env: Vec<String>,
    #[serde(default)]
    pub(crate) cwd: String,
    /// Absent: none at all.
    #[serde(default)]
    pub(crate) capabilities: Capabilities,
    #[serde(default)]
    pub(crate) rlimits: Vec<Rlimit>,
    #[serde(default)]
    pub(crate) no_new_privileges: bool,
    pub(crate) oom_score_adj: Option<i32>,
    pub(crate) apparmor_profile: Option<String>,
    pub(crate) selinux_label: Option<String>,
}

/// Who the process runs as. `username`, when there is one, wins over the numbers: `name|uid[:group|gid]`, and in a
/// line each further groups, looked up in the container's own /etc/passwd and /etc/group, which the host never sees.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct User {
    #[serde(default)]
    pub(crate) uid: u32,
    #[serde(default)]
    pub(crate) gid: u32,
    pub(crate) umask: Option<u32>,
    #[serde(default)]
    pub(crate) additional_gids: Vec<u32>,
    #[serde(default)]
    pub(crate) username: String,
}

/// The five sets of capabilities(7), by name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Capabilities {
    pub(crate) bounding: Vec<String>,
    pub(crate) effective: Vec<String>,
    pub(crate) inheritable: Vec<String>,
    pub(crate) permitted: Vec<String>,
    pub(crate) ambient: Vec<String>,
}

/// One resource limit of getrlimit(2).
#[derive(Debug, Deserialize)]
pub(crate) struct Rlimit {
    /// `RLIMIT_NOFILE` and so on.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) soft: u64,
    pub(crate) hard: u64,
}
