//! Fuzz targets: everything that a guest, an image, a registry or a damaged file can say to a process of the host
//! (docs/decisions/0030-fuzzing.md).
//!
//! A [`Target`] is a function of bytes that must neither panic, hang, nor grow, and inputs to begin with. `make fuzz` runs
//! them under libFuzzer (`main.rs`, `run`); `tests/replay.rs` runs each seed and each former crash in every `make unit`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a target fails by panicking"
)]

#[path = "../../../erofs/tests/disk/mod.rs"]
#[allow(dead_code, missing_docs)]
mod disk;
pub mod guest;
mod images;
pub mod input;
mod target;
mod targets;

pub use target::{Target, find};
pub use targets::TARGETS;
