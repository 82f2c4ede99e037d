//! What a VM costs the host in memory, by the kernel's own account of its VMM process: proc_pid_smaps(5).

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

/// Memory of a VMM process, the guest's included, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Footprint {
    /// What it has in memory.
    pub rss_bytes: u64,
    /// The same where each page counts by its share: one that three processes have is a third. The sum over all VMs is what
    /// they cost together.
    pub pss_bytes: u64,
}

impl Footprint {
    /// That of a process.
    ///
    /// # Errors
    /// It is gone, or of somebody else's.
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?)
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Lines are `Name:  NUMBER kB`.
    fn parse(text: &str) -> Option<Self> {
        let bytes = |wanted: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(wanted)?.strip_prefix(':'))?;
            value.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
        };
        Some(Self { rss_bytes: bytes("Rss")?, pss_bytes: bytes("Pss")? })
    }

    /// What others have, too: pages of a template, of the VMM's program, of images. Not a part of the proportional
    /// size, but what is saved by sharing.
    #[must_use]
    pub const fn shared_bytes(self) -> u64 {
        self.rss_bytes.saturating_sub(self.pss_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_account_is_read() {
        let text = "55d0-7ffc ---p 00000000 00:00 0    [rollup]\nRss:    884 kB\nPss:     385 kB\nPss_Anon:  68 kB\n";
        let footprint = Footprint::parse(text).unwrap();
        assert_eq!((footprint.pss_bytes, footprint.shared_bytes()), (385 << 10, 499 << 10));
        assert_eq!(Footprint::parse("Rss: 1 kB\n"), None);
        let own = Footprint::of(std::process::id()).unwrap();
        assert!(own.pss_bytes > 0 && own.pss_bytes <= own.rss_bytes);
    }
}
