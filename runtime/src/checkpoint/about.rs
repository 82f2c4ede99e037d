//! What is known of a checkpoint beside what the VMM wrote: a file of a checksum, a newline, and JSON.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::sandbox::VmShape;
use crate::template::Platform;

/// Everything that a start needs to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    /// The id of its container's image.
    pub image: String,
    /// Where it goes on.
    pub platform: Platform,
    /// Size of its VM.
    pub shape: VmShape,
    /// What the guest calls the container.
    pub guest_id: String,
    /// Where its network devices are.
    pub network_slots: Vec<u32>,
    /// Whether it has a resolver.
    pub serves_names: bool,
    /// Of the layer's copy, as [`crate::storage::sparse_sum`] tells it; none where nobody will verify it.
    pub layer_sha256: Option<String>,
}

/// Why such a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum AboutError {
    /// It cannot be read or written.
    #[error("cannot use its description")]
    File(#[from] io::Error),
    /// Some bit of it changed.
    #[error("the checksum of its description is wrong")]
    Checksum,
    /// Sound, and yet not what is expected: another version wrote it.
    #[error("its description cannot be understood")]
    Content(#[from] serde_json::Error),
}

impl About {
    pub(super) fn read(path: &Path) -> Result<Self, AboutError> {
        let bytes = fs::read(path)?;
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or(AboutError::Checksum)?;
        let (sum, json) = (bytes.get(..end).unwrap_or_default(), bytes.get(end + 1..).unwrap_or_default());
        if sum != checksum(json).as_bytes() {
            return Err(AboutError::Checksum);
        }
        Ok(serde_json::from_slice(json)?)
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), AboutError> {
        let json = serde_json::to_vec(self)?;
        Ok(fs::write(path, [checksum(&json).as_bytes(), b"\n", &json].concat())?)
    }
}

fn checksum(json: &[u8]) -> String {
    hex::encode(Sha256::digest(json))
}
