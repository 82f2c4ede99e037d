//! Resource limits that containers inherit where their spec says nothing: those of a Docker daemon, not the kernel's
//! small defaults for init.

use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};

use crate::fault::{At, Fault};

/// What systemd's `LimitNOFILE=infinity` gives a container engine: `fs.nr_open`.
const OPEN_FILES: u64 = 1 << 20;

/// Raises the agent's limits.
pub(super) fn raise() -> Result<(), Fault> {
    setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES).at("raising RLIMIT_NOFILE")?;
    setrlimit(Resource::RLIMIT_NPROC, RLIM_INFINITY, RLIM_INFINITY).at("raising RLIMIT_NPROC")
}
