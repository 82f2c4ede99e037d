//! `holm-vmm`: one process that runs one virtual machine on KVM.
//!
//! The binary is a few lines around this library; the library exists so that its parts can be tested and fuzzed
//! without KVM. The host's runtime starts the process and reads its end ([`holm_protocol::vm_exit`]); nobody links it.
//!
//! - [`machine`]: a whole VM, put together and run. Start reading there.
//! - [`boot`], [`layout`], [`memory`]: what the guest finds.
//! - [`vcpu`], [`kvm`]: how it runs.
//! - [`template`]: how it is saved, for others to go on from.
//! - [`devices`]: what it can touch. No unsafe code: what devices need of it is in `memory`, `vectors` and `tun`.
//! - [`ending`], [`signals`], [`event_loop`], [`thread`]: how the process waits, and stops.
//! - [`probe`]: whether KVM can run guests at all.

pub mod arguments;
pub mod boot;
pub mod config_fd;
mod descriptors;
pub mod devices;
pub mod ending;
pub mod event_loop;
pub mod jail;
pub mod kvm;
pub mod layout;
pub mod machine;
pub mod memory;
pub mod parent;
pub mod probe;
pub mod signals;
pub mod template;
pub mod thread;
mod tun;
pub mod vcpu;
mod vectors;
