//! Virtio 1.2 devices: what they have in common ([`device`], [`interrupt`], [`ring`]), how the guest reaches them
//! ([`mmio`]), and one folder per device.

pub mod balloon;
pub mod block;
pub mod device;
#[cfg(test)]
mod driver;
pub mod fs;
pub mod interrupt;
pub mod kicks;
pub mod mmio;
pub mod net;
pub mod ring;
pub mod rng;
pub mod saved_device;
pub mod saved_queue;
pub mod serve;
pub mod vsock;
