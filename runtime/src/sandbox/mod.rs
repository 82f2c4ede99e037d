//! A sandbox: one VM and the conversation with the agent in it.
//!
//! Trust: everything that comes out of the VM, agent replies included, is hostile input. Replies are bounded by ttrpc's
//! message limit (4 MiB); texts pass [`holm_protocol::vm_exit::printable`] before anybody sees them.

mod agent_client;
mod boot;
mod shape;
mod stillness;
mod stream;
mod transfer;
mod usage;
mod vmm_process;

pub use agent_client::{AgentClient, AgentError, ContainerRequest, Exit, ProcessRequest};
pub use boot::{BootError, BootEvents, IMAGE_DISK, Sandbox, WRITABLE_DISK};
pub use shape::VmShape;
pub use stream::{StreamError, connect as connect_stream};
pub use transfer::{FileStatus, Transfer, TransferRequest};
pub use usage::{ProcessUsage, Usage};
pub use vmm_process::{VmmEnd, VmmError, VmmProcess};
