//! The entropy device (virtio 1.2 section 5.4): one queue, whose buffers the host fills with random bytes.
//!
//! Served by the main event loop, so a chain gets at most [`MAX_CHAIN_BYTES`] however long it is, and a round ends after
//! one ring's worth.

mod device;
mod state;

#[cfg(test)]
mod tests;

pub use device::{Rng, RngError};
pub use state::RngState;

/// Most bytes that one chain gets; the driver asks again for more.
pub const MAX_CHAIN_BYTES: u32 = 4096;
