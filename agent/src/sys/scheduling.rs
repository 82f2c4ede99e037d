//! sched_setscheduler(2).

#![allow(unsafe_code)] // nix does not have it.

use nix::Result;
use nix::errno::Errno;

/// The calling thread wakes up without taking the processor from who has it (sched(7), `SCHED_BATCH`); its children do not
/// inherit that.
pub(crate) fn yield_when_woken() -> Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    let policy = libc::SCHED_BATCH | libc::SCHED_RESET_ON_FORK;
    // SAFETY: reads `parameters`, which outlives the call.
    Errno::result(unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) }).map(drop)
}
