//! Tells engines that a container ran out of memory. They know that from the kernel alone: conmon and containerd's shim of Docker watch
//! the counters of the container's cgroup on the host (`memory.events`). The guest's kernel counts for itself.
//!
//! So the host's kernel is made to count, once, when the VM is gone: a process in the cgroup is killed for memory. Nobody else in
//! there can be chosen: this process is protected, and the limit leaves it what it has.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// The hidden verb of `holm-runtime` that runs out of memory.
pub const EXHAUST_VERB: &str = "exhaust";

/// Between what the cgroup uses and its limit: enough to start a program.
const ROOM_BYTES: u64 = 8 << 20;
/// How much the victim takes at most, where no limit stops it.
const MOST_BYTES: usize = 64 << 20;
const STEP_BYTES: usize = 1 << 20;

/// Has the kernel count in this cgroup, to which the calling process belongs. Where it does not count memory, nobody looks.
pub(super) fn tell(place: &Path) -> io::Result<()> {
    let limit = place.join("memory.max");
    if !limit.exists() {
        return Ok(());
    }
    let used: u64 =
        fs::read_to_string(place.join("memory.current"))?.trim().parse().map_err(io::Error::other)?;
    let before = fs::read_to_string(&limit)?;
    fs::write("/proc/self/oom_score_adj", "-1000")?;
    fs::write(&limit, used.saturating_add(ROOM_BYTES).to_string())?;
    let swap = place.join("memory.swap.max");
    if swap.exists() {
        fs::write(&swap, "0")?;
    }
    let mut victim = Command::new("/proc/self/exe");
    victim.arg(EXHAUST_VERB).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let ended = victim.status();
    fs::write(&limit, before.trim())?;
    ended.map(drop)
}

/// Takes memory until there is no more. The first to be killed for it.
///
/// # Errors
/// It was not chosen for that, so it takes nothing.
pub fn exhaust() -> io::Result<()> {
    fs::write("/proc/self/oom_score_adj", "1000")?;
    let mut taken = Vec::new();
    while taken.len() * STEP_BYTES < MOST_BYTES {
        // Pages are taken when they are written.
        taken.push(std::hint::black_box(vec![1_u8; STEP_BYTES]));
    }
    Ok(())
}
