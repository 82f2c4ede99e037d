//! What Holm needs of the host: its own installed files and the directories it keeps state in.

mod confinement;
mod directories;
mod disk_usage;
mod installation;
mod kvm;
mod life;
mod stacks;
mod user;
mod watch;

pub use confinement::{ConfinementError, Left, OfOthers, confine, hide, renounce};
pub(crate) use directories::create_private as create_private_directory;
pub use directories::{Directories, DirectoriesError};
pub use disk_usage::disk_usage_bytes;
pub use installation::{Installation, InstallationError};
pub use kvm::{KvmError, probe as probe_kvm};
pub(crate) use life::boot_id;
pub(crate) use stacks::small_stacks;
pub use user::is_rootless;
pub(crate) use watch::Watch;
