//! System calls that neither nix nor rustix has, and sequences of those that they have, as small safe functions over owned descriptors.
//!
//! Nothing here decides anything. This is where the agent's `unsafe` lives; each call says why it is sound.

pub(crate) mod bpf;
pub(crate) mod capset;
pub(crate) mod clone;
pub(crate) mod descriptors;
pub(crate) mod freeze;
pub(crate) mod mount_api;
pub(crate) mod namespaces;
pub(crate) mod netlink;
pub(crate) mod network;
pub(crate) mod pid_namespace;
pub(crate) mod random;
pub(crate) mod reset;
pub(crate) mod scheduling;
pub(crate) mod seccomp;
pub(crate) mod signals;
pub(crate) mod tty;
pub(crate) mod watched;
