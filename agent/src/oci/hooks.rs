//! config.md, "POSIX-platform Hooks": those that run in the container. The others are the host's.

use serde::Deserialize;

/// Programs that run at points of a container's life.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Hooks {
    pub(crate) start_container: Vec<Hook>,
}

/// One of them.
#[derive(Debug, Deserialize)]
pub(crate) struct Hook {
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) args: Vec<String>,
    #[serde(default)]
    pub(crate) env: Vec<String>,
    /// In seconds.
    pub(crate) timeout: Option<u64>,
}
