//! What was asked: written once, when the container is created; its sha256 is the container's id.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::id::ContainerId;
use super::name::ContainerName;
use super::settings::Settings;

/// The creation record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Record {
    /// When it was created.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    /// Makes equal requests of the same instant differ.
    pub nonce: String,
    /// The image's id, `sha256:...`.
    pub image_id: String,
    /// The image as the user named it.
    pub image: String,
    /// The name it got at creation.
    pub name: ContainerName,
    /// What the user asked for.
    pub settings: Settings,
}

impl Record {
    /// The record's bytes on disk and the id that they make.
    ///
    /// # Errors
    /// When it cannot be serialised.
    pub fn seal(&self) -> Result<(ContainerId, Vec<u8>), serde_json::Error> {
        let bytes = serde_json::to_vec(self)?;
        Ok((ContainerId::of_record(&bytes), bytes))
    }

    /// `--hostname`, or the short id.
    #[must_use]
    pub fn hostname(&self, id: &ContainerId) -> String {
        self.settings.hostname.clone().unwrap_or_else(|| id.short().to_owned())
    }
}
