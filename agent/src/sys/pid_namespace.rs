//! Children in another pid namespace (setns(2), pid_namespaces(7)).
//!
//! setns(CLONE_NEWPID) changes where the caller's children go and not the caller, and may be undone: so a process of a
//! container can be cloned by the agent itself, as its own child, without a process in between.

use std::fs::File;
use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};

use super::clone::Cloned;

/// Runs `clone` while children go to the pid namespace of `process`.
pub(crate) fn with_children_in(
    process: BorrowedFd<'_>,
    clone: impl FnOnce() -> nix::Result<Cloned>,
) -> nix::Result<Cloned> {
    let own = File::open("/proc/self/ns/pid").map_err(|_| Errno::ENOENT)?;
    setns(process, CloneFlags::CLONE_NEWPID)?;
    let cloned = clone();
    if !matches!(cloned, Ok(Cloned::Child)) {
        setns(own, CloneFlags::CLONE_NEWPID)?;
    }
    cloned
}
