//! What crosses a boundary in Holm: types and constants only, no I/O, no threads.
//!
//! - [`vm_config`]: host -> VMM, one JSON document on a file descriptor.
//! - [`vm_memory`]: where a guest's memory is.
//! - [`vm_control`]: host -> VMM, devices that come and go while the VM runs.
//! - [`vm_exit`]: VMM -> host, how a VM ended.
//! - [`kvm_probe`]: VMM -> host, whether KVM can run guests.
//! - [`agent`]: host <-> guest agent, ttrpc over vsock (`proto/agent.proto` is the contract).
//! - [`causes`]: an error and its causes as one line, a reason that is told.
//! - [`stream`]: the header line that names a stdio stream on its own vsock connection.
#![forbid(unsafe_code)]

pub mod agent;
pub mod causes;
pub mod kvm_probe;
pub mod stream;
pub mod vm_config;
pub mod vm_control;
pub mod vm_dial;
pub mod vm_exit;
pub mod vm_memory;
