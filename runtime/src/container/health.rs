//! What is known of a container's health: `State.Health` of `inspect`, kept in `<id>/health.json`.

use std::fmt;
use std::fs;
use std::io;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::store::Container;

/// How healthy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// Not known yet.
    #[default]
    Starting,
    /// The last probe succeeded, or too few failed since.
    Healthy,
    /// Too many probes in a row failed.
    Unhealthy,
}

impl fmt::Display for HealthStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        })
    }
}

/// One probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Probe {
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    pub start: OffsetDateTime,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339")]
    pub end: OffsetDateTime,
    /// 0 is healthy; -1 for one that did not end by itself.
    pub exit_code: i32,
    /// What it printed, or why it could not: the guest's own words, bounded.
    pub output: String,
}

/// With Docker's field names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Health {
    /// How healthy.
    pub status: HealthStatus,
    /// Failed probes in a row.
    pub failing_streak: u32,
    /// The last probes, the oldest first.
    pub log: Vec<Probe>,
}

impl Container {
    /// Its health; `None` where nobody asked for it, or it never ran.
    #[must_use]
    pub fn health(&self) -> Option<Health> {
        self.record.settings.healthcheck.as_ref()?.command()?;
        serde_json::from_slice(&fs::read(self.directory().join("health.json")).ok()?).ok()
    }

    /// Writes it down, if that is possible: nobody ends a container because its health cannot be written.
    pub(crate) fn write_health(&self, health: &Health) {
        let (path, new) = (self.directory().join("health.json"), self.directory().join("health.json.new"));
        let json = serde_json::to_vec(health).map_err(io::Error::from);
        // Not synced: images say how often to probe, and nobody needs this after a power cut.
        let written = json.and_then(|json| fs::write(&new, json)).and_then(|()| fs::rename(&new, &path));
        if let Err(error) = written {
            tracing::warn!(%error, "the container's health was not written down");
        }
    }
}
