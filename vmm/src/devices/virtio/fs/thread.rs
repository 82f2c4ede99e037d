//! What the thread that serves files must be, beside any other thread.

use std::io;

use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustix::thread::{CapabilitiesSecureBits, set_capabilities_secure_bits};

/// Makes the calling thread one that can make files for others.
///
/// A umask of its own, and none: the guest's decides. Capabilities that
/// stay through a change of the effective user: what the guest's user may do was decided by the guest's kernel, which knows
/// the user's groups; the change only says whose a new file is. A process without the privilege serves its own files as it
/// can.
///
/// # Errors
/// The kernel refuses the umask of its own.
pub(super) fn prepare() -> io::Result<()> {
    unshare(CloneFlags::CLONE_FS)?;
    rustix::process::umask(rustix::fs::Mode::empty());
    if let Err(error) = set_capabilities_secure_bits(CapabilitiesSecureBits::NO_SETUID_FIXUP) {
        tracing::debug!(%error, "the host's permissions count for the guest's users");
    }
    Ok(())
}

/// Raises the limit of open files to what a process may have at most, or to all that this one may have; how many that are.
pub(super) fn raise_open_files() -> usize {
    const USUAL: u64 = 1024;
    // The kernel's own limit (fs.nr_open) as it is unless somebody changed it.
    const MOST: u64 = 1 << 20;
    let limits = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if hard < MOST && setrlimit(Resource::RLIMIT_NOFILE, MOST, MOST).is_ok() {
            return Ok(MOST);
        }
        if soft < hard {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        }
        Ok(hard)
    });
    usize::try_from(limits.unwrap_or(USUAL)).unwrap_or(usize::MAX)
}
