//! The OCI runtime: containers from bundles, for engines that start `runc` otherwise (runtime-spec, runtime.md).
//!
//! ```text
//!   engine ── conmon/shim ──> holm-runtime create ──> supervisor (the pid that is reported) ──> holm-vmm
//!                                  │                       │ stdio of create, copied to and from the guest
//!                                  └── <root>/<id>/state.json, <run>/oci/<name>/control
//! ```
//!
//! - [`create()`], [`Client`], [`delete()`], [`execute()`]: what the verbs do.
//! - [`Store`]: the containers below `--root`.
//! - `pod`: containers that share the VM of one of them.
//! - [`supervise`]: the process behind one container. It is the engine's [`crate::supervisor`] without images, layers, logs
//!   and restarts, and with inherited streams; VM, agent, templates and shares are the same.
//!
//! Trust: whoever calls is root and may do all of this without us. Bundles are checked for what a VM cannot give; the guest is
//! hostile, its root file system included: the host never walks it.

mod bundle;
mod cgroup;
mod client;
mod console;
mod create;
mod delete;
mod error;
mod exec;
mod handover;
mod hooks;
mod id;
mod mounts;
mod namespaces;
mod out_of_memory;
mod pod;
mod process;
mod protocol;
mod record;
mod resolver;
mod role;
mod root;
mod signals;
mod stdio;
mod store;
mod supervisor;
mod update;

pub use bundle::Bundle;
pub use cgroup::CgroupForm;
pub use client::Client;
pub use create::{CreateRequest, Created, SUPERVISE_VERB, create};
pub use delete::delete;
pub use error::OciError;
pub use exec::{ExecRequest, Executed, HOLD_VERB, execute, execute_detached, hold};
pub use id::OciId;
pub use out_of_memory::{EXHAUST_VERB, exhaust};
pub use record::{OciState, Record, Status};
pub use role::sandbox_of;
pub use root::RootDevice;
pub use stdio::Streams;
pub use store::{OciContainer, Store};
pub use supervisor::supervise;
