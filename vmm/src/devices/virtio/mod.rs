//! Virtio 1.2 devices: what they have in common ([`device`], [`interrupt`]) and one folder per device.

pub mod device;
pub mod interrupt;
pub mod vsock;
