//! What happens to containers and images, for `holm events`: an append-only journal, one line of JSON per event with
//! Docker's names, written by whoever does the thing.
//!
//! ```text
//! <root>/events/journal      written with O_APPEND, one write(2) per line, by any number of processes at once
//! <root>/events/journal.1    the one before: the journal is renamed when it is full
//! <root>/events/lock         held while renaming
//! ```
//!
//! The journal never holds anybody up: what cannot be written (a full disk) is lost, and the verb goes on. Nothing is
//! synced: after a power cut the last events may be missing.
//!
//! Trust: names and labels come from users and images; lines are bounded, and whoever shows them makes them printable.

mod event;
mod journal;
mod reader;

pub use event::{Actor, Event, Kind};
pub use journal::Journal;
pub use reader::{EventReader, ReadError};
