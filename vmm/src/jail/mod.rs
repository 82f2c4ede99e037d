//! What this process gives up before the guest's first instruction, so that a guest that took it over has gained little.
//!
//! ```text
//!   files open, no threads ──► own namespaces ──► own user ──► no capabilities ──► Landlock ──► threads, each with its filter
//!                              └────────────────────────── enter ───────────────────────────┘   └── confine_this_thread ───┘
//! ```
//!
//! All that a VM needs is open by then. Only the thread of the shares opens more, below the shared directories: a VM with shares
//! keeps its user and the capabilities to make files for others, and Landlock holds it to those directories.
//!
//! Threads: `enter` before there are any others; every thread calls [`confine_this_thread`] first of all.
//! Trust: none in what runs afterwards. What the host's kernel does not offer is told and passed over, but for seccomp, without
//! which no VM starts.

mod allowed;
mod commands;
mod files;
mod filter;
mod namespaces;
mod privileges;
mod program;
mod role;
mod syscalls;

use std::path::Path;

use holm_protocol::vm_config::VmConfig;
use holm_protocol::vm_control::LATE_SHARES;
use namespaces::Root;

pub use allowed::Allowed;
pub use role::Role;

/// Why this process cannot be confined.
#[derive(Debug, thiserror::Error)]
pub enum JailError {
    /// It could gain privileges by executing a program.
    #[error("cannot renounce new privileges")]
    Privileges(#[source] nix::errno::Errno),
    /// Its user cannot be changed.
    #[error("cannot become user {user}")]
    User {
        /// The user.
        user: u32,
        /// What the host said.
        source: nix::errno::Errno,
    },
    /// Its capabilities cannot be dropped.
    #[error("cannot drop capabilities")]
    Capabilities(#[source] caps::errors::CapsError),
    /// It has a mount namespace, and cannot empty it.
    #[error("cannot change to a root directory that is empty")]
    Root(#[source] std::io::Error),
    /// It would survive its parent.
    #[error(transparent)]
    Parent(#[from] crate::parent::ParentError),
    /// Landlock is there and refuses.
    #[error("cannot confine the VMM to its files")]
    Files(#[source] landlock::RulesetError),
    /// A directory is not there any more.
    #[error("cannot confine the VMM to its shares")]
    Share(#[source] landlock::PathFdError),
    /// The kernel refuses a filter.
    #[error("cannot install the system call filter of {role:?}")]
    Filter {
        /// Whose.
        role: Role,
        /// What the kernel said.
        source: nix::errno::Errno,
    },
}

/// Gives up what no VM needs once its files are open; the parent is the process that this one ends with, if it does.
///
/// # Errors
/// The host refuses what it offers.
pub fn enter(config: &VmConfig, parent: Option<i32>) -> Result<(), JailError> {
    let has_shares = !config.shares.is_empty();
    let mut files = files::only_below(&config.shares)?;
    let root = namespaces::leave_the_hosts(has_shares, config.more_shares)?;
    if config.more_shares && root == Root::Own {
        files = files::and_below(files, Path::new(LATE_SHARES))?;
    }
    privileges::drop_all_but(&config.jail, has_shares)?;
    // A change of the user ends what tied this process to its parent.
    parent.map_or(Ok(()), crate::parent::end_with)?;
    files::confine(files)
}

/// Leaves the calling thread the system calls of its role. Whatever else it tries ends the process.
///
/// # Errors
/// The host refuses: it has no seccomp.
pub fn confine_this_thread(role: Role) -> Result<(), JailError> {
    filter::install(role)
}
