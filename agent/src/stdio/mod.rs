//! Standard streams between processes and the host.
//!
//! ```text
//! process  --pipe or pty-->  agent: 256 KiB at a time  --vsock connection-->  host
//! ```
//!
//! Each stream has its own vsock connection, accepted by [`listener`] and named by its first line
//! (`holm_protocol::stream`). The agent never holds more than one buffer of a stream: who reads slowly slows down the
//! writer, and nobody else. Output waits in the pipe until the host attaches. Where the VM goes on from a checkpoint, the
//! connections are gone: output waits once more, for the host that attaches again.

pub(crate) mod listener;
mod pipes;
mod pump;
mod slots;
mod tty;

pub(crate) use pipes::{AgentPipes, make};
pub(crate) use pump::{Host, pump};
pub(crate) use slots::{Attachment, Endpoint, Streams};
pub(crate) use tty::Tty;
