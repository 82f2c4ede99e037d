//! A VM ends with the process that started it: an orphan would hold memory and disks that nobody knows of.

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

/// Why the VM cannot be tied to its parent.
#[derive(Debug, thiserror::Error)]
pub enum ParentError {
    /// The parent ended before its end could be noticed, or is another process.
    #[error("the process that started this VM is not {0}")]
    Gone(i32),
    /// prctl(2) failed.
    #[error("cannot ask to be killed with the parent")]
    Prctl(#[source] Errno),
}

/// Has the kernel kill this process when `parent` (more exactly, its thread that started us) ends.
///
/// # Errors
/// `parent` has ended already.
pub fn end_with(parent: i32) -> Result<(), ParentError> {
    set_pdeathsig(Signal::SIGKILL).map_err(ParentError::Prctl)?;
    // Asked too late if it ended in between: then another process has adopted us.
    if getppid().as_raw() == parent { Ok(()) } else { Err(ParentError::Gone(parent)) }
}
