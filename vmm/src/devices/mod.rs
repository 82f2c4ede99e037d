//! Everything the guest can touch.
//!
//! Trust: every port, register, descriptor and byte here is chosen by a hostile guest. A guest may break its own device
//! (the device then asks for a reset and does nothing more); it may not make this process panic, grow, log or spin.
#![forbid(unsafe_code)]

pub mod bus;
pub mod changeable;
pub mod console;
pub mod i8042;
pub mod ports;
pub mod power;
pub mod rate_limit;
pub mod virtio;
