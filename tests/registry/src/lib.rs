//! Registries for tests, on the loopback interface: Debian's docker-registry, and a server that misbehaves on purpose.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a fixture fails by panicking")]

mod docker_registry;
mod faulty_registry;
mod image;

pub use docker_registry::{DockerRegistry, Mode};
pub use faulty_registry::{Fault, FaultyRegistry, blob_path};
pub use image::{INDEX, MANIFEST, RegistryImage, descriptor, tar};
