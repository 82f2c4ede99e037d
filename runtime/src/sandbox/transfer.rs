//! Moving files of a container: what can be asked of the agent (`protocol/proto/agent.proto`).

use holm_protocol::agent::messages::{
    ExportLayer, ExportTree, ListChanges, MeasureLayer, ReadFiles, WriteFiles, transfer_request::What,
};
use serde::{Deserialize, Serialize};

/// What moves over the transfer's stream. Paths count from the container's root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transfer {
    /// From the guest: for each change its kind (A, C or D), the absolute path, NUL.
    ListChanges,
    /// From the guest: how much the container wrote, in bytes, as decimal digits.
    MeasureLayer,
    /// From the guest: a tar of all that the container sees of image and layer.
    ExportTree,
    /// From the guest: a tar of the changes, as an OCI layer.
    ExportLayer,
    /// From the guest: a tar of one file or directory.
    Read {
        /// Which.
        path: String,
        /// Follows a symbolic link that the path ends with.
        follow: bool,
        /// What it is called in the tar; empty for the contents of a directory.
        name: String,
    },
    /// To the guest: a tar that is unpacked into a directory.
    Write {
        /// Which.
        path: String,
    },
}

/// A transfer, and how it is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferRequest {
    /// Its id, not used before for this container.
    pub id: String,
    /// What moves.
    pub what: Transfer,
    /// Whether a running container's processes stand still meanwhile.
    pub pause: bool,
}

/// What a path of a container refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStatus {
    /// Type and permission bits: `st_mode` of stat(2).
    pub mode: u32,
    /// Its own path, after all symbolic links. The guest's words.
    pub path: String,
}

impl FileStatus {
    /// Whether it is a directory.
    #[must_use]
    pub const fn is_directory(&self) -> bool {
        const TYPE: u32 = 0o170_000;
        const DIRECTORY: u32 = 0o040_000;
        self.mode & TYPE == DIRECTORY
    }
}

impl Transfer {
    /// Whether bytes go to the guest.
    #[must_use]
    pub const fn is_to_guest(&self) -> bool {
        matches!(self, Self::Write { .. })
    }

    pub(super) fn message(&self) -> What {
        match self.clone() {
            Self::ListChanges => What::ListChanges(ListChanges::default()),
            Self::MeasureLayer => What::MeasureLayer(MeasureLayer::default()),
            Self::ExportTree => What::ExportTree(ExportTree::default()),
            Self::ExportLayer => What::ExportLayer(ExportLayer::default()),
            Self::Read { path, follow, name } => {
                What::ReadFiles(ReadFiles { path, follow, name, ..ReadFiles::default() })
            }
            Self::Write { path } => What::WriteFiles(WriteFiles { path, ..WriteFiles::default() }),
        }
    }
}
