//! What a VM costs: the VMM's own memory, and what the guest's kernel and agent leave to the workload.

use std::fs;

use anyhow::{Context, Result};

use crate::containers::{Holm, succeed};
use crate::figure::Figure;
use crate::sample::Spread;

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
    let id = succeed(&mut holm.command(["run", "-d", "--cold", "busybox", "sleep", "1000"]))?;
    let measured = inspect_pid(holm, &id)
        .and_then(|pid| own_rss_mib(&fs::read_to_string(format!("/proc/{pid}/smaps"))?));
    succeed(&mut holm.command(["rm", "-f", &id]))?;
    measured
}

fn inspect_pid(holm: &Holm, id: &str) -> Result<u64> {
    let json: serde_json::Value = serde_json::from_str(&succeed(&mut holm.command(["inspect", id]))?)?;
    json[0]["State"]["Pid"].as_u64().context("State.Pid")
}

/// Sums Rss over the mappings, but for the guest's memory: anything that spans 64 MiB or more.
fn own_rss_mib(smaps: &str) -> Result<f64> {
    const GUEST_KIB: u64 = 64 << 10;
    let (mut total_kib, mut size_kib) = (0, 0);
    for line in smaps.lines() {
        let mut fields = line.split_whitespace();
        let kib = |field: Option<&str>| field.and_then(|text| text.parse::<u64>().ok()).context("smaps");
        match fields.next() {
            Some("Size:") => size_kib = kib(fields.next())?,
            Some("Rss:") if size_kib < GUEST_KIB => total_kib += kib(fields.next())?,
            _ => {}
        }
    }
    #[allow(clippy::cast_precision_loss, reason = "a few MiB")]
    Ok(total_kib as f64 / 1024.0)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guests_memory_is_left_out() {
        let smaps = "00400000-00500000 r-xp 0 0 0 /holm-vmm\nSize: 1024 kB\nRss: 1024 kB\n\
                     7f0000000000-7f0020000000 rw-p 0 0 0\nSize: 524288 kB\nRss: 100000 kB\n";
        assert!((own_rss_mib(smaps).unwrap() - 1.0).abs() < f64::EPSILON);
    }
}
