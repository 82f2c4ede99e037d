//! Why an archive could not be unpacked.

use rustix::io::Errno;

use crate::TarError;

/// A member could not be made, or the archive not be read.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The archive.
    #[error(transparent)]
    Archive(#[from] TarError),
    /// A member.
    #[error("{path:?}: {what}")]
    Member {
        /// As the archive names it.
        path: String,
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: Errno,
    },
    /// A member's path leads out of the destination.
    #[error("{0:?} leads out of the destination")]
    Outside(String),
    /// A member that is not what the archive should hold.
    #[error("{0:?} was not asked for")]
    Unasked(String),
    /// Docker's words.
    #[error("cannot overwrite directory {0:?} with non-directory")]
    OverDirectory(String),
    /// Docker's words.
    #[error("cannot overwrite non-directory {0:?} with directory")]
    OverFile(String),
    /// Only where devices are not made.
    #[error("{0:?} is a device, which is not made here; a destination of - gives it in a tar")]
    Device(String),
    /// An owner that no file can have.
    #[error("{0:?} has an impossible owner or device number")]
    Number(String),
    /// More directories than are remembered until their times are set.
    #[error("the archive has more than {0} directories")]
    TooManyDirectories(usize),
}
