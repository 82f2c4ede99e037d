//! What was asked of a volume: written once.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::driver::VolumeDriver;
use crate::container::settings::Labels;

/// A volume's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct VolumeRecord {
    /// When it was created.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// `--label`.
    pub labels: Labels,
    /// Whether a container's mount without a name made it: it goes with `rm -v` and `--rm`.
    #[serde(default)]
    pub anonymous: bool,
    /// `--driver`, with its options.
    #[serde(default)]
    pub driver: VolumeDriver,
}

impl VolumeRecord {
    /// Of a volume in a directory that is made now.
    #[must_use]
    pub fn now(labels: Labels, anonymous: bool) -> Self {
        Self { created_at: OffsetDateTime::now_utc(), labels, anonymous, driver: VolumeDriver::Local }
    }
}
