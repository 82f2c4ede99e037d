//! `holm-vmm`: one process that runs one virtual machine on KVM.
//!
//! The binary is a few lines around this library; the library exists so that its parts can be tested and fuzzed
//! without KVM. The host's runtime starts the process and reads its end ([`holm_protocol::vm_exit`]); nobody links it.

pub mod boot;
pub mod devices;
pub mod ending;
pub mod layout;
pub mod memory;
