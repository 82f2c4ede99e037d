//! Why a log cannot be kept or read.

use std::io;
use std::path::PathBuf;

/// A failure before the first entry is written, or of reading.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The log cannot be written at all.
    #[error("cannot open the log {}", path.display())]
    Open {
        /// The log.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The host has no journal.
    #[error("journald is not enabled on this host ({} cannot be used); choose another --log-driver", path.display())]
    NoJournal {
        /// Its socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A log file cannot be read.
    #[error("cannot read the log {}", path.display())]
    Read {
        /// The log.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The journal cannot be asked.
    #[error("cannot read the journal with journalctl")]
    Journalctl(#[source] io::Error),
    /// What this driver takes is not Holm's to read.
    #[error("configured logging driver does not support reading")]
    Unreadable,
}
