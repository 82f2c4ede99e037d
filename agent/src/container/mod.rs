//! What a container is made of: the spec's words, checked and turned into things that can be applied.
//!
//! Checking happens in the agent ([`ContainerPlan`], [`ProcessPlan`]); applying happens in the forked child
//! ([`crate::child`]), which by then is in the container's namespaces.

pub(crate) mod capabilities;
pub(crate) mod cgroup;
pub(crate) mod devices;
pub(crate) mod environment;
pub(crate) mod injected_files;
pub(crate) mod interface;
pub(crate) mod masks;
pub(crate) mod mount_options;
pub(crate) mod mounts;
pub(crate) mod namespaces;
mod plan;
mod process_plan;
pub(crate) mod program;
pub(crate) mod rlimits;
pub(crate) mod rootdir;
pub(crate) mod seccomp;
mod spare_network;
pub(crate) mod start_hooks;
pub(crate) mod sysctl;
pub(crate) mod time;
pub(crate) mod user;

pub(crate) use plan::ContainerPlan;
pub(crate) use process_plan::{ProcessPlan, TerminalSize};
pub(crate) use spare_network::SpareNetwork;
