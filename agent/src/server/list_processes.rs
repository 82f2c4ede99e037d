//! `ListProcesses`: what `holm top` shows.

use holm_protocol::agent::messages::{ListProcessesRequest, ListProcessesResponse, ProcessInfo};
use procfs::ProcResult;
use procfs::process::Process;

use crate::fault::{At, Fault};
use crate::registry::Registry;

const MAX_PROCESSES: usize = 4096;
const MAX_COMMAND_BYTES: usize = 4096;
/// Device numbers of pseudo-terminals have this major number.
const PTS_MAJOR: i32 = 136;

/// Lists the processes of a container.
pub(super) fn list_processes(
    registry: &Registry,
    request: &ListProcessesRequest,
) -> Result<ListProcessesResponse, Fault> {
    let container = registry.container(&request.container_id)?;
    let booted_unix_s = procfs::boot_time_secs().at("reading when the guest booted")?;
    let mut pids = container.sandbox.cgroup.pids();
    pids.sort_unstable();
    // One that ends meanwhile is left out.
    let processes = pids.into_iter().take(MAX_PROCESSES).filter_map(|pid| describe(pid, booted_unix_s).ok());
    Ok(ListProcessesResponse { processes: processes.collect(), ..Default::default() })
}

fn describe(pid: i32, booted_unix_s: u64) -> ProcResult<ProcessInfo> {
    let process = Process::new(pid)?;
    let stat = process.stat()?;
    let ticks_per_second = procfs::ticks_per_second();
    let (major, minor) = stat.tty_nr();
    let mut command = process.cmdline()?.join(" ");
    if command.is_empty() {
        command = format!("[{}]", stat.comm);
    }
    command.truncate(command.floor_char_boundary(MAX_COMMAND_BYTES));
    let started_unix_s = booted_unix_s.saturating_add(stat.starttime / ticks_per_second);
    Ok(ProcessInfo {
        pid,
        ppid: stat.ppid,
        uid: process.status()?.euid,
        tty: if major == PTS_MAJOR { format!("pts/{minor}") } else { String::new() },
        cpu_time_ms: stat.utime.saturating_add(stat.stime).saturating_mul(1000) / ticks_per_second,
        started_unix_s: i64::try_from(started_unix_s).unwrap_or(i64::MAX),
        command,
        ..ProcessInfo::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_described() {
        let own = i32::try_from(std::process::id()).unwrap();
        let info = describe(own, 1_000_000).unwrap();
        assert_eq!((info.pid, info.ppid), (own, nix::unistd::getppid().as_raw()));
        assert_eq!(info.uid, nix::unistd::geteuid().as_raw());
        assert!(info.command.contains("holm_agent") && info.started_unix_s >= 1_000_000, "{info:?}");
        assert!(describe(i32::MAX, 0).is_err());
    }
}
