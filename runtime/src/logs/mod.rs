//! The log of a container (M26 `logs`, M30): what its workload wrote to stdout and stderr, kept for later readers.
//!
//! ```text
//!   carrier thread ──bytes──> StreamLog ──entries──> Log ─┬─> <id>-json.log, rotated to .1, .2, ...  ──> LogReader
//!                                                         └─> the host's journal
//! ```
//!
//! - Writing: [`Log::open`] once per run, [`Log::stream`] once per stream. An entry is a line, or 16 KiB of a longer one.
//! - Reading: [`LogReader`], by any process at any time; it takes no lock and never delays the writer.
//!
//! The format, the files' names and the options are those of Docker's json-file driver, so what reads Docker's logs reads
//! Holm's. One difference: without `--log-opt` a log is five files of 20 MB, so that no container fills the host's disk;
//! `max-size=-1` lifts that.
//!
//! Writing never fails and never waits for a reader: while the disk is full (or the journal gone), up to
//! [`MAX_BACKLOG_BYTES`] wait in memory, what comes after that is counted, and the count is logged once writing works
//! again.
//!
//! Threads: none of its own; the carriers share a [`Log`] through its mutex. Trust: the text comes from the guest and is
//! hostile; the files are the owner's (directory mode 0700), yet a reader expects a line that a crash has torn.

mod attributes;
mod backlog;
mod encode;
mod entry;
mod error;
mod file_reader;
mod files;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod journal;
mod journal_reader;
mod json_file;
mod lines;
mod log;
mod moment;
mod newline;
mod query;
mod reader;
mod rotate;
mod snapshot;
mod splitter;
mod tail;

pub use backlog::MAX_BACKLOG_BYTES;
pub use encode::timestamp;
pub use entry::Entry;
pub use error::LogError;
pub use journal::check;
pub use log::{Log, StreamLog};
pub(crate) use moment::duration as parse_duration;
pub use moment::{MomentError, parse as parse_moment};
pub use query::{Query, Tail, TailError};
pub use reader::LogReader;
