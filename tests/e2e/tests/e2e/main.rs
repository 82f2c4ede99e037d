//! The end-to-end tests, by feature. A test named after a row of the container model proves that row.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod archives;
mod block_volumes;
mod checkpoints;
mod confinement;
mod conformance;
mod containerd;
mod crashes;
mod databases;
mod docker;
mod events;
mod exec;
mod faults;
mod files;
mod health;
mod installation;
mod layer;
mod lifecycle;
mod limits;
mod logs;
mod network;
mod networks_connect;
mod oci;
mod podman;
mod podman_files;
mod podman_network;
mod podman_pods;
mod pods;
mod process;
mod registry;
mod rootless;
mod run;
mod shared_files;
mod soak;
mod states;
mod stdio;
mod syscalls;
mod templates;
mod terminal;
mod transfers;
mod trees;
mod volumes;
