//! Memory that the guest did not boot with: the kernel has no bus that would notice, so it is told where memory came (Linux
//! Documentation/admin-guide/mm/memory-hotplug.rst, "Memory Hotplug Phases"), and takes it into use at once.
//!
//! What the kernel derived from the size of memory when it booted grows with it.

use std::fmt::Write;
use std::fs;
use std::io;

use nix::sys::sysinfo::sysinfo;

const PROBE: &str = "/sys/devices/system/memory/probe";
/// Limits that are a share of memory (below /proc/sys).
const LIMITS: [&str; 13] = [
    "fs/epoll/max_user_watches",
    "fs/file-max",
    "kernel/threads-max",
    "net/ipv4/tcp_mem",
    "net/ipv4/udp_mem",
    "user/max_cgroup_namespaces",
    "user/max_ipc_namespaces",
    "user/max_mnt_namespaces",
    "user/max_net_namespaces",
    "user/max_pid_namespaces",
    "user/max_time_namespaces",
    "user/max_user_namespaces",
    "user/max_uts_namespaces",
];

/// One that is a share of all memory above what this has, and not less.
const WATCHES: (&str, u64) = ("fs/inotify/max_user_watches", 1 << 30);

/// Takes memory into use, block by block: the first ones hold what the kernel keeps of the next.
pub(crate) fn grow(blocks: &[u64]) -> io::Result<()> {
    if blocks.is_empty() {
        return Ok(());
    }
    let before = sysinfo()?.ram_total();
    for start in blocks {
        fs::write(PROBE, format!("{start:#x}"))?;
    }
    let after = sysinfo()?.ram_total();
    for limit in LIMITS {
        raise(limit, after, before)?;
    }
    let (watches, least) = WATCHES;
    raise(watches, after.max(least), before.max(least))
}

/// Multiplies a limit.
fn raise(limit: &str, times: u64, by: u64) -> io::Result<()> {
    let path = format!("/proc/sys/{limit}");
    fs::write(&path, scaled(&fs::read_to_string(&path)?, times, by))
}

/// Each number of a line, times a fraction.
fn scaled(line: &str, times: u64, by: u64) -> String {
    let mut result = String::new();
    for number in line.split_ascii_whitespace().filter_map(|word| word.parse::<u64>().ok()) {
        let number = u128::from(number) * u128::from(times) / u128::from(by.max(1));
        // Writing into a string does not fail.
        let _ = write!(result, "{} ", number.min(i64::MAX as u128));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_grow_as_memory_does() {
        assert_eq!(scaled("4096\n", 3, 2), "6144 ");
        assert_eq!(scaled("11\t20\t33\n", 4 << 30, 1 << 30), "44 80 132 ");
        assert_eq!(scaled("9223372036854775807\n", 2, 1), "9223372036854775807 ");
    }
}
