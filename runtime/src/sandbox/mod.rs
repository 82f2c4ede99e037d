//! A sandbox: one VM and the conversation with the agent in it.
//!
//! Trust: everything that comes out of the VM, agent replies included, is hostile input. Replies are bounded by ttrpc's
//! message limit (4 MiB); texts pass [`holm_protocol::vm_exit::printable`] before anybody sees them.

use std::time::Duration;

mod agent_client;
mod boot;
mod confinement;
mod dial;
mod footprint;
mod host_threads;
mod inherit;
mod kernel_log;
mod late_disk;
mod late_shares;
mod pid_namespace;
mod shape;
mod stillness;
mod stream;
mod transfer;
mod usage;
mod vmm_control;
mod vmm_process;

/// How long a guest may take from power-on to its agent's call. Generous: hosts under load and emulated ones are slow.
pub(crate) const BOOT_TIMEOUT: Duration = Duration::from_secs(120);

pub use agent_client::{
    AgentClient, AgentError, ContainerRequest, Exit, GuestInterface, GuestIpv6, GuestRoot, NetworkChange,
    ProcessRequest,
};
pub use boot::{
    BootError, BootEvents, Growth, HostAccess, IMAGE_DISK, Sandbox, Start, StartFrom, Told, VmLink,
    VmNetwork, WRITABLE_DISK, file_disk, template_platform,
};
pub use confinement::Confinement;
pub use footprint::Footprint;
pub use host_threads::{HostThreadsError, confine_process, confine_this_thread};
pub(crate) use inherit::{inherit, keep_others};
pub use late_disk::{LateDiskError, add_disk};
pub use late_shares::{LateShareError, LateShares};
pub use shape::VmShape;
pub use stream::{PendingStream, StreamError, connect as connect_stream, connect_agent};
pub use transfer::{FileStatus, Transfer, TransferRequest};
pub use usage::{ProcessUsage, Usage};
pub use vmm_control::{ControlError, VmmControl};
pub use vmm_process::{VmmEnd, VmmError, VmmProcess};
