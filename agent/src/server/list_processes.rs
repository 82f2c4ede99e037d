//! `ListProcesses`: what `holm top` shows.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use holm_protocol::agent::messages::{ListProcessesRequest, ListProcessesResponse, ProcessInfo};
use nix::time::{ClockId, clock_gettime};

use crate::fault::{At, Fault};
use crate::registry::Registry;

const MAX_PROCESSES: usize = 4096;
const MAX_COMMAND_BYTES: usize = 4096;
/// Units of the times in /proc/PID/stat in a second (`getconf CLK_TCK`): the same on every Linux.
const TICKS_PER_SECOND: u64 = 100;
/// Device numbers of pseudo-terminals begin with this major number.
const PTS_MAJOR: u64 = 136;

/// Lists the processes of a container.
pub(super) fn list_processes(
    registry: &Registry,
    request: &ListProcessesRequest,
) -> Result<ListProcessesResponse, Fault> {
    let container = registry.container(&request.container_id)?;
    let booted_unix_s = booted_unix_s().at("reading the clock")?;
    let mut pids = container.sandbox.cgroup.pids();
    pids.sort_unstable();
    // One that ends meanwhile is left out.
    let processes = pids.into_iter().take(MAX_PROCESSES).filter_map(|pid| describe(pid, booted_unix_s));
    Ok(ListProcessesResponse { processes: processes.collect(), ..Default::default() })
}

fn booted_unix_s() -> nix::Result<i64> {
    let uptime = clock_gettime(ClockId::CLOCK_BOOTTIME)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(i64::try_from(now.as_secs()).unwrap_or(i64::MAX).saturating_sub(uptime.tv_sec()))
}

fn describe(pid: i32, booted_unix_s: i64) -> Option<ProcessInfo> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    parse(pid, &stat, &status, &arguments, booted_unix_s)
}

/// proc_pid_stat(5), proc_pid_status(5), proc_pid_cmdline(5).
fn parse(pid: i32, stat: &str, status: &str, arguments: &[u8], booted_unix_s: i64) -> Option<ProcessInfo> {
    // The name may hold anything, parentheses and spaces too; what follows the last one does not.
    let (name, rest) = stat.rsplit_once(')')?;
    let name = name.split_once('(')?.1;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // Counted as in the manual, where the state is the third.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let terminal = field(7)?;
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().nth(1)?;
    let command = if arguments.is_empty() {
        format!("[{name}]")
    } else {
        let shown = arguments.get(..MAX_COMMAND_BYTES).unwrap_or(arguments);
        String::from_utf8_lossy(shown).trim_end_matches('\0').replace('\0', " ")
    };
    Some(ProcessInfo {
        pid,
        ppid: i32::try_from(field(4)?).ok()?,
        uid: uid.parse().ok()?,
        // man 4 tty: minor numbers beyond 255 stand in the upper bits.
        tty: if (terminal >> 8) & 0xfff == PTS_MAJOR {
            format!("pts/{}", (terminal & 0xff) | ((terminal >> 12) & 0xfff00))
        } else {
            String::new()
        },
        cpu_time_ms: field(14)?.saturating_add(field(15)?).saturating_mul(1000) / TICKS_PER_SECOND,
        started_unix_s: booted_unix_s
            .saturating_add(i64::try_from(field(22)? / TICKS_PER_SECOND).unwrap_or(i64::MAX)),
        command,
        ..ProcessInfo::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "42 (odd) name) S 7 42 42 34817 42 4194560 1 2 3 4 150 50 0 0 20 0 1 0 300 1 2";

    #[test]
    fn a_process_is_described() {
        let status = "Name:\todd\nUid:\t0\t1000\t0\t0\n";
        let info = parse(42, STAT, status, b"sleep\x001000\x00", 1_000_000).unwrap();
        assert_eq!((info.pid, info.ppid, info.uid), (42, 7, 1000));
        assert_eq!((info.tty.as_str(), info.cpu_time_ms, info.started_unix_s), ("pts/1", 2000, 1_000_003));
        assert_eq!(info.command, "sleep 1000");
        assert_eq!(parse(42, STAT, status, b"", 0).unwrap().command, "[odd) name]");
        assert!(parse(42, "42 (x", status, b"", 0).is_none());
    }

    #[test]
    fn this_process_is_found() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(describe(own, 0).unwrap().pid, own);
    }
}
