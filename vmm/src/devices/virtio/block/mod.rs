//! The block device (virtio 1.2 section 5.2): a disk made of file segments.
//!
//! - `config`: what the driver reads about the disk.
//! - `request`: a descriptor chain to a complete, checked request. Pure.
//! - `segments`: which bytes of which file are a range of the disk. Pure.
//! - `disk`: the files, and what can be done to them.
//! - `throttle`: what may pass in a second. Pure.
//! - `device`: queue, request, disk, answer.
//!
//! Each disk has an event loop, and so a thread, of its own: a slow fdatasync delays nobody else.
//!
//! A read-only disk is one three times over: its files are open for reading only, a writing request is refused when it is
//! parsed, and the driver is told so.

mod config;
mod device;
mod disk;
mod request;
mod segments;
mod state;
mod throttle;

#[cfg(test)]
mod tests;

pub use device::{Block, BlockError};
pub use disk::DiskError;
pub use state::BlockState;
