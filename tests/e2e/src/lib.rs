//! The fixture of the end-to-end tests: they run `holm` on the host where Holm can run (the lab, or this machine when its
//! KVM is real) and assert on what a user sees.
//!
//! The test binary itself runs there (tests/lab/runner), so a test is plain Rust that starts programs. Images that the
//! Makefile put into place are loaded once into a store that all tests share; containers get names of their own and are
//! removed when the fixture is dropped, also when a test fails.

#![allow(clippy::expect_used, clippy::panic, reason = "a fixture fails by panicking")]

mod containerd;
mod cri;
mod docker;
pub mod faults;
mod holm;
mod image;
mod oci_bundle;
mod outcome;
mod podman;
mod pty;
mod thin_pool;
mod until;
mod user;

pub use containerd::Containerd;
pub use cri::{Cri, CriPod, Executed, Processes};
pub use docker::Docker;
pub use holm::Holm;
pub use image::TestImage;
pub use oci_bundle::OciBundle;
pub use outcome::Outcome;
pub use podman::Podman;
pub use pty::Pty;
pub use thin_pool::ThinPool;
pub use until::until;
