//! What a cgroup uses (Documentation/admin-guide/cgroup-v2.rst of the kernel). What cannot be read counts as nothing.

use std::fs;

use procfs::Current;

use super::Cgroup;

/// Since the container began, or at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) cpu_time_us: u64,
    /// Without inactive page cache, as Docker counts.
    pub(crate) memory_bytes: u64,
    /// The cgroup's, or the guest's memory where there is none.
    pub(crate) memory_limit_bytes: u64,
    pub(crate) pids: u64,
    pub(crate) block_read_bytes: u64,
    pub(crate) block_written_bytes: u64,
}

impl Cgroup {
    /// Reads it.
    pub(crate) fn usage(&self) -> Usage {
        let read = |file: &str| fs::read_to_string(self.path.join(file)).unwrap_or_default();
        let number = |text: &str| text.trim().parse::<u64>().ok();
        let io = read("io.stat");
        let inactive = keyed(&read("memory.stat"), "inactive_file").unwrap_or(0);
        Usage {
            cpu_time_us: keyed(&read("cpu.stat"), "usage_usec").unwrap_or(0),
            memory_bytes: number(&read("memory.current")).unwrap_or(0).saturating_sub(inactive),
            memory_limit_bytes: number(&read("memory.max")).unwrap_or_else(guest_memory_bytes),
            pids: number(&read("pids.current")).unwrap_or(0),
            block_read_bytes: summed(&io, "rbytes="),
            block_written_bytes: summed(&io, "wbytes="),
        }
    }
}

/// A value of a flat keyed file: `KEY VALUE` lines.
fn keyed(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?;
    value.trim().parse().ok()
}

/// The sum of a nested key over all devices.
fn summed(text: &str, key: &str) -> u64 {
    let values = text.split_whitespace().filter_map(|word| word.strip_prefix(key)?.parse::<u64>().ok());
    values.fold(0, u64::saturating_add)
}

fn guest_memory_bytes() -> u64 {
    procfs::Meminfo::current().map_or(0, |memory| memory.mem_total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read() {
        assert_eq!(keyed("usage_usec 12\nuser_usec 7\n", "usage_usec"), Some(12));
        assert_eq!(keyed("inactive_file_x 1\ninactive_file 2\n", "inactive_file"), Some(2));
        assert_eq!(keyed("", "x"), None);
        let io = "254:0 rbytes=100 wbytes=0 rios=1\n254:16 rbytes=23 wbytes=5 wios=2\n";
        assert_eq!((summed(io, "rbytes="), summed(io, "wbytes=")), (123, 5));
        assert!(guest_memory_bytes() > 1 << 20);
    }
}
