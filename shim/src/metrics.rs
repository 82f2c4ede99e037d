//! What a container uses, as its cgroup on the host counts it: supervisor and VMM, which is what the container costs. The VMM of a pod is in
//! the cgroup of its sandbox: what the others use is what the guest counts.

use std::fs;
use std::io;
use std::path::Path;

use containerd_shim_protos::cgroups_v2::metrics::{
    CPUStat, IOEntry, IOStat, MemoryEvents, MemoryStat, Metrics, PidsStat,
};

use holm_runtime::sandbox::Usage;

use crate::error::ShimError;

/// Reads a cgroup of version 2. What the host does not count is zero.
pub(crate) fn read(cgroup: &Path) -> Result<Metrics, ShimError> {
    let mut metrics = Metrics::new();
    metrics.pids = Some(pids(cgroup)?).into();
    metrics.cpu = Some(cpu(cgroup)?).into();
    metrics.memory = Some(memory(cgroup)?).into();
    metrics.memory_events = Some(memory_events(cgroup)?).into();
    metrics.io = Some(io_usage(&text(cgroup, "io.stat")?)).into();
    Ok(metrics)
}

/// What the guest counts, of a container that is in another's VM.
pub(crate) fn of_guest(usage: &Usage) -> Metrics {
    let mut metrics = Metrics::new();
    let (mut pids, mut cpu, mut memory) = (PidsStat::new(), CPUStat::new(), MemoryStat::new());
    pids.current = usage.pids;
    cpu.usage_usec = usage.cpu_time_us;
    (memory.usage, memory.usage_limit) = (usage.memory_bytes, usage.memory_limit_bytes);
    (metrics.pids, metrics.cpu, metrics.memory) = (Some(pids).into(), Some(cpu).into(), Some(memory).into());
    metrics
}

fn pids(cgroup: &Path) -> Result<PidsStat, ShimError> {
    let mut pids = PidsStat::new();
    pids.current = number(cgroup, "pids.current")?;
    // No limit is none.
    pids.limit = Some(number(cgroup, "pids.max")?).filter(|limit| *limit != u64::MAX).unwrap_or_default();
    Ok(pids)
}

fn cpu(cgroup: &Path) -> Result<CPUStat, ShimError> {
    let stat = text(cgroup, "cpu.stat")?;
    let mut cpu = CPUStat::new();
    cpu.usage_usec = of(&stat, "usage_usec");
    cpu.user_usec = of(&stat, "user_usec");
    cpu.system_usec = of(&stat, "system_usec");
    cpu.nr_periods = of(&stat, "nr_periods");
    cpu.nr_throttled = of(&stat, "nr_throttled");
    cpu.throttled_usec = of(&stat, "throttled_usec");
    Ok(cpu)
}

fn memory(cgroup: &Path) -> Result<MemoryStat, ShimError> {
    let stat = text(cgroup, "memory.stat")?;
    let mut memory = MemoryStat::new();
    memory.anon = of(&stat, "anon");
    memory.file = of(&stat, "file");
    memory.kernel_stack = of(&stat, "kernel_stack");
    memory.slab = of(&stat, "slab");
    memory.sock = of(&stat, "sock");
    memory.shmem = of(&stat, "shmem");
    memory.file_mapped = of(&stat, "file_mapped");
    memory.file_dirty = of(&stat, "file_dirty");
    memory.file_writeback = of(&stat, "file_writeback");
    memory.anon_thp = of(&stat, "anon_thp");
    memory.inactive_anon = of(&stat, "inactive_anon");
    memory.active_anon = of(&stat, "active_anon");
    memory.inactive_file = of(&stat, "inactive_file");
    memory.active_file = of(&stat, "active_file");
    memory.unevictable = of(&stat, "unevictable");
    memory.slab_reclaimable = of(&stat, "slab_reclaimable");
    memory.slab_unreclaimable = of(&stat, "slab_unreclaimable");
    memory.pgfault = of(&stat, "pgfault");
    memory.pgmajfault = of(&stat, "pgmajfault");
    memory.usage = number(cgroup, "memory.current")?;
    memory.usage_limit = number(cgroup, "memory.max")?;
    memory.swap_usage = number(cgroup, "memory.swap.current")?;
    memory.swap_limit = number(cgroup, "memory.swap.max")?;
    Ok(memory)
}

fn memory_events(cgroup: &Path) -> Result<MemoryEvents, ShimError> {
    let counted = text(cgroup, "memory.events")?;
    let mut events = MemoryEvents::new();
    events.low = of(&counted, "low");
    events.high = of(&counted, "high");
    events.max = of(&counted, "max");
    events.oom = of(&counted, "oom");
    events.oom_kill = of(&counted, "oom_kill");
    Ok(events)
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`, a line for each device.
fn io_usage(stat: &str) -> IOStat {
    let entry = |line: &str| {
        let mut words = line.split(' ');
        let (major, minor) = words.next()?.split_once(':')?;
        let mut entry = IOEntry::new();
        (entry.major, entry.minor) = (major.parse().ok()?, minor.parse().ok()?);
        for (name, value) in words.filter_map(|word| word.split_once('=')) {
            let value = value.parse().unwrap_or_default();
            match name {
                "rbytes" => entry.rbytes = value,
                "wbytes" => entry.wbytes = value,
                "rios" => entry.rios = value,
                "wios" => entry.wios = value,
                _ => {}
            }
        }
        Some(entry)
    };
    let mut usage = IOStat::new();
    usage.usage = stat.lines().filter_map(entry).collect();
    usage
}

/// The value of a name in a file of them.
fn of(stat: &str, name: &str) -> u64 {
    let value = stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok()).unwrap_or_default()
}

/// A file of one number; `max` is the greatest.
fn number(cgroup: &Path, name: &str) -> Result<u64, ShimError> {
    let text = text(cgroup, name)?;
    let text = text.trim();
    Ok(if text == "max" { u64::MAX } else { text.parse().unwrap_or_default() })
}

/// A file of a controller that the host does not have is empty.
fn text(cgroup: &Path, name: &str) -> Result<String, ShimError> {
    let path = cgroup.join(name);
    match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && cgroup.exists() => Ok(String::new()),
        read => read.map_err(|source| ShimError::Read { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_cgroup() {
        let cgroup = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("pids.current", "9\n"),
            ("pids.max", "max\n"),
            ("cpu.stat", "usage_usec 300\nuser_usec 200\nsystem_usec 100\n"),
            ("memory.stat", "anon 4096\nfile 1\nfile_mapped 2\n"),
            ("memory.current", "8192\n"),
            ("memory.max", "max\n"),
            ("memory.events", "low 0\noom 1\noom_kill 2\n"),
            ("io.stat", "254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n\n"),
        ] {
            fs::write(cgroup.path().join(name), text).unwrap();
        }
        let metrics = read(cgroup.path()).unwrap();
        assert_eq!((metrics.pids.current, metrics.pids.limit), (9, 0));
        assert_eq!((metrics.cpu.usage_usec, metrics.cpu.system_usec), (300, 100));
        let memory = &metrics.memory;
        assert_eq!((memory.file, memory.file_mapped, memory.usage), (1, 2, 8192));
        assert_eq!((memory.usage_limit, memory.swap_usage), (u64::MAX, 0));
        assert_eq!((metrics.memory_events.oom, metrics.memory_events.oom_kill), (1, 2));
        let disk = metrics.io.usage.first().unwrap();
        assert_eq!((disk.major, disk.rbytes, disk.wios), (254, 1, 4));
        assert!(read(&cgroup.path().join("gone")).is_err());
    }
}
