//! The engine: images, containers, and the microVMs that they run in. The command line and the shim are faces of it.
//!
//! - [`image`]: the store of images and their layers.
//! - [`container`]: what was asked of a container and what became of it.
//! - [`bundle`]: image config and settings -> OCI runtime spec.
//! - [`storage`]: writable layers.
//! - [`volume`]: volumes, and what of the host a VM is given.
//! - [`network`]: bridges, addresses, published ports.
//! - [`template`]: booted VMs that others go on from.
//! - [`checkpoint`]: running containers that were saved.
//! - [`sandbox`]: a VM and the conversation with its agent.
//! - [`supervisor`]: the process that owns one running container.
//! - [`oci`]: containers from bundles, under engines that run OCI runtimes.
//! - [`logs`]: what a workload wrote.
//! - [`config`]: the configuration file.
//! - [`check`]: whether what is stored is sound.
//! - [`events`]: what happened.
//! - [`host`]: directories, installed files, KVM.
//!
//! Blocking I/O and threads; no async.

pub mod bundle;
pub mod check;
pub mod checkpoint;
pub mod config;
pub mod container;
pub mod durable;
pub mod events;
pub mod file_error;
pub mod host;
pub mod image;
pub mod logs;
pub mod network;
pub mod oci;
pub mod registry;
pub mod sandbox;
pub mod storage;
pub mod supervisor;
pub mod template;
pub mod volume;
