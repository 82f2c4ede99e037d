//! What a VM costs: the VMM's own memory, what the guest's kernel and agent leave to the workload, and what the host gets back of it.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::container::Container;
use crate::containers::{Holm, succeed};
use crate::figure::Figure;
use crate::mappings;
use crate::sample::Spread;
use crate::shell::Shell;

/// The goal for the VMM's memory that is not the guest's.
const VMM_GOAL_MIB: f64 = 5.0;
/// The goal for free memory in a guest of 128 MiB.
const FREE_GOAL_MIB: f64 = 96.0;
/// With this limit the VM has 128 MiB.
const LIMIT_OF_128_MIB_VM: &str = "78m";

/// Resident memory of an idle container's VMM, its mapping of the guest's memory left out: the VM boots, so that there is one
/// of those and not one for each part of a template.
pub(crate) fn vmm_rss(holm: &Holm, runs: u32) -> Result<Figure> {
    let values: Result<Vec<f64>> = (0..runs.min(5)).map(|_| one_vmm_rss(holm)).collect();
    let values = values?;
    let n = u32::try_from(values.len())?;
    Ok(Figure::of_goal("vmm.rss_mib", "MiB", Spread::of(values), VMM_GOAL_MIB, "goal, at most", n))
}

fn one_vmm_rss(holm: &Holm) -> Result<f64> {
    let container = Container::start(holm, &["--cold"], "busybox")?;
    let mappings = mappings::of(container.vmm_pid()?)?;
    Ok(mappings::mib(mappings.iter().filter(|mapping| !mapping.is_guest).map(|mapping| mapping.rss_kib)))
}

/// MemAvailable in an idle guest of 128 MiB, as its workload sees it.
pub(crate) fn guest_free(holm: &Holm, _runs: u32) -> Result<Figure> {
    let meminfo = succeed(&mut holm.command([
        "run",
        "--rm",
        "-m",
        LIMIT_OF_128_MIB_VM,
        "busybox",
        "cat",
        "/proc/meminfo",
    ]))?;
    let line = meminfo.lines().find(|line| line.starts_with("MemAvailable:")).context("MemAvailable")?;
    let kib: f64 = line.split_whitespace().nth(1).context("MemAvailable")?.parse()?;
    let free = Spread::of(vec![kib / 1024.0]);
    Ok(Figure::of_goal("guest.free_mib", "MiB", free, FREE_GOAL_MIB, "goal, at least", 1))
}

/// What a guest writes and frees.
const FREED_MIB: u32 = 512;
/// Until the host is to have it back.
const PATIENCE: Duration = Duration::from_secs(5);
/// The balloon, by which memory is given back, comes a second after the container.
const SETTLED: Duration = Duration::from_secs(3);

/// How much more memory of the host the VM has, 5 s after its guest freed 512 MiB, than before it wrote them.
pub(crate) fn returned(holm: &Holm, runs: u32) -> Result<Figure> {
    let options = ["-m", "700m", "--tmpfs", "/filled:size=600m"];
    let container = Container::start(holm, &options, "busybox")?;
    sleep(SETTLED);
    let pid = container.vmm_pid()?;
    let values: Result<Vec<f64>> = (0..runs.min(3)).map(|_| kept_mib(&container, pid)).collect();
    let values = values?;
    let n = u32::try_from(values.len())?;
    let goal = f64::from(FREED_MIB) / 10.0;
    let against = format!("goal, at most, of {FREED_MIB} MiB, {} s after", PATIENCE.as_secs());
    Ok(Figure::of_goal("memory.returned", "MiB", Spread::of(values), goal, against, n))
}

fn kept_mib(container: &Container<'_>, pid: u32) -> Result<f64> {
    let resident_mib =
        || -> Result<f64> { Ok(mappings::mib(mappings::of(pid)?.iter().map(|mapping| mapping.rss_kib))) };
    let before = resident_mib()?;
    container.sh(&format!("dd if=/dev/zero of=/filled/file bs=1048576 count={FREED_MIB}"))?;
    let filled = resident_mib()?;
    if filled - before < f64::from(FREED_MIB) * 0.9 {
        bail!("the VM grew from {before:.0} to {filled:.0} MiB only");
    }
    container.sh("rm /filled/file")?;
    sleep(PATIENCE);
    Ok((resident_mib()? - before).max(0.0))
}
