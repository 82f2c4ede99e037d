//! The parts of the OCI runtime spec (config.md, config-linux.md, 1.2) that the agent obeys, as they stand in JSON.
//!
//! Own types and not the oci-spec crate's: that crate links a regular expression engine and builders for every field,
//! about a third of the agent's size limit, into what must start in milliseconds. What is not listed is ignored, as the
//! spec asks of runtimes; what is listed with a wrong type refuses the document.
//!
//! Trust: written by the host.

mod hooks;
mod linux;
mod process;
mod resources;
mod seccomp;
mod spec;

pub(crate) use hooks::{Hook, Hooks};
pub(crate) use linux::{Device, Linux, NamespaceKind, Personality, TimeOffset};
pub(crate) use process::{Capabilities, Process, Rlimit, User};
pub(crate) use resources::{BlockIo, Cpu, DeviceRule, Memory, Resources, ThrottleDevice};
pub(crate) use seccomp::{Seccomp, SeccompAction, SeccompArg, SeccompOperator};
pub(crate) use spec::{Mount, Spec};
