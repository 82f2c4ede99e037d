//! What the agent says about a running container: its processes, and what it uses. All of it comes from the guest, but for the
//! footprint.

use holm_protocol::agent::messages::{ProcessInfo, ReadUsageResponse};
use holm_protocol::vm_exit::printable;
use serde::{Deserialize, Serialize};

use super::footprint::Footprint;

/// More are not taken from a guest.
const MAX_PROCESSES: usize = 4096;

/// One process of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct ProcessUsage {
    /// In the guest's pid namespace.
    pub pid: i32,
    /// Its parent's.
    pub ppid: i32,
    /// Whose it is, in the container.
    pub uid: u32,
    /// `pts/0`, or empty.
    pub tty: String,
    /// User and system time in milliseconds.
    pub cpu_time_ms: u64,
    /// When it began, in seconds since 1970.
    pub started_unix_s: i64,
    /// Its command line.
    pub command: String,
}

/// What a container uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Usage {
    /// Processor time since it began, in microseconds.
    pub cpu_time_us: u64,
    /// Memory in bytes, without page cache that is easily given back.
    pub memory_bytes: u64,
    /// What it may use.
    pub memory_limit_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
    /// Read from its disks since it began, in bytes.
    pub block_read_bytes: u64,
    /// Written to them.
    pub block_written_bytes: u64,
    /// What the VM costs the host in memory, where that can be told. Not of the guest's saying.
    #[serde(default)]
    pub footprint: Option<Footprint>,
}

pub(super) fn processes(said: Vec<ProcessInfo>) -> Vec<ProcessUsage> {
    let processes = said.into_iter().take(MAX_PROCESSES).map(|process| ProcessUsage {
        pid: process.pid,
        ppid: process.ppid,
        uid: process.uid,
        tty: printable(process.tty.as_bytes()),
        cpu_time_ms: process.cpu_time_ms,
        started_unix_s: process.started_unix_s,
        command: printable(process.command.as_bytes()),
    });
    processes.collect()
}

impl From<ReadUsageResponse> for Usage {
    fn from(said: ReadUsageResponse) -> Self {
        Self {
            cpu_time_us: said.cpu_time_us,
            memory_bytes: said.memory_bytes,
            memory_limit_bytes: said.memory_limit_bytes,
            pids: said.pids,
            block_read_bytes: said.block_read_bytes,
            block_written_bytes: said.block_written_bytes,
            footprint: None,
        }
    }
}
