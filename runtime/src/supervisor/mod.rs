//! The supervisor: one process per running container. It owns the VM, carries stdio, writes the state, and outlives the
//! command line that started it.
//!
//! ```text
//!   command line ──(unix socket <run>/<id>/control)──> supervisor ──(ttrpc, streams over vsock)──> agent
//! ```
//!
//! [`Client`] is the command line's side, [`run`] is the process itself, [`protocol`] what they say to each other.
//!
//! Threads: the main one decides; one accepts clients, one watches the VMM, one waits for the workload, and one carries
//! each stream. They tell the main one through a channel.
//!
//! Trust: clients are the owner of the socket's directory (mode 0700); the guest is hostile.

mod checkpoint;
mod client;
mod clients;
mod error;
mod event;
mod exec;
mod files;
mod files_client;
mod health;
mod input;
mod life;
mod net;
mod notes;
mod output;
mod probe;
pub mod protocol;
mod requests;
mod restart;
mod resume;
mod rewire;
mod run;
mod stop;
mod templates;
mod transfer;
mod update;

pub use client::{CHECKPOINT_FLAG, Client, ClientError, FILES_FLAG, Requests, SUPERVISE_VERB};
pub use error::SupervisorError;
pub use files::serve_files;
pub use files_client::{FilesClient, Moving};
pub use run::run;
