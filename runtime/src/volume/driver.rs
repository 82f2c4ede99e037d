//! What a volume is on the host.

use serde::{Deserialize, Serialize};

use crate::container::settings::LayerSize;

/// Where a volume keeps its data (docs/decisions/0023-block-volumes.md).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumeDriver {
    /// In a directory of the host, which any number of containers share.
    #[default]
    Local,
    /// In an ext4 file system of this size of its own, which is a disk of the VM that has it.
    Block(LayerSize),
}

impl VolumeDriver {
    /// Docker's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Block(_) => "block",
        }
    }
}
