//! From the kernel's first jump into user space to a guest that can serve.

mod limits;
mod mounts;
pub(crate) use mounts::RUN;
pub(crate) mod power;

use crate::fault::{At, Fault};
use crate::sys::scheduling;

/// Makes the guest usable: file systems, a root that containers can pivot from, limits to inherit.
pub(crate) fn prepare() -> Result<(), Fault> {
    // Nobody in a container gets to see the agent's memory or executable through /proc (CVE-2019-5736); forked
    // children inherit it until they execute the workload.
    nix::sys::prctl::set_dumpable(false).at("making the agent not dumpable")?;
    mounts::mount_all()?;
    // A workload fills its pipe before the agent empties it: woken by each write, it would carry output in pieces of that size,
    // with an exit to the host for each.
    scheduling::yield_when_woken().at("choosing a scheduling policy")?;
    limits::raise()
}
