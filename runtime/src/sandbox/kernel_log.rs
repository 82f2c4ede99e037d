//! What the host's kernel has written down about a process: whether it was killed for memory (M22).
//!
//! `/dev/kmsg` gives a record at each read, the oldest first (Linux `Documentation/ABI/testing/dev-kmsg`). Who may not read
//! it, as ordinary users often may not, learns nothing.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;

/// The longest record that the kernel gives, in bytes (`CONSOLE_EXT_LOG_MAX`).
const MAX_RECORD_BYTES: usize = 8192;

/// How many records are read at most: others write while this reads.
const MAX_RECORDS: usize = 1 << 20;

/// The kernel's own words when it killed a process for memory: because of the host's, or of a cgroup's limit.
pub(super) fn killed_for_memory(pid: u32) -> Option<String> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut log = OpenOptions::new().read(true).custom_flags(flags).open("/dev/kmsg").ok()?;
    let mut record = [0; MAX_RECORD_BYTES];
    for _ in 0..MAX_RECORDS {
        match log.read(&mut record) {
            Ok(0) => break,
            Ok(length) => {
                let text = String::from_utf8_lossy(record.get(..length)?);
                if let Some(words) = kill_of(&text, pid) {
                    return Some(words.to_owned());
                }
            }
            // Records that were overwritten before they were read.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PIPE.raw_os_error()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    None
}

/// What a record says of the kill of that process for memory (`mm/oom_kill.c`), without the sizes that follow.
fn kill_of(record: &str, pid: u32) -> Option<&str> {
    let message = record.split_once(';')?.1;
    let (cause, victim) = message.split_once(": Killed process ")?;
    let (number, name) = victim.split_once(" (")?;
    (cause.ends_with("ut of memory") && number == pid.to_string())
        .then(|| message.get(..message.len() - name.len() + name.find(')')? + 1))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_of_the_host_and_of_cgroups_are_known_by_the_pid() {
        let of_host = "3,812,5140900,-;Out of memory: Killed process 4711 (holm-vmm) total-vm:1kB, UID:0 pgtables:4kB\n";
        assert_eq!(kill_of(of_host, 4711), Some("Out of memory: Killed process 4711 (holm-vmm)"));
        let of_cgroup = "3,812,5140900,-;Memory cgroup out of memory: Killed process 12 (vcpu0) total-vm:1kB";
        assert_eq!(kill_of(of_cgroup, 12), Some("Memory cgroup out of memory: Killed process 12 (vcpu0)"));
    }

    #[test]
    fn other_records_say_nothing() {
        for record in [
            "",
            "6,1,0,-;Linux version 6.1\n",
            "3,8,5,-;Out of memory: Killed process 47 (a) total-vm:1kB",
            "3,8,5,-;Out of memory: Killed process 471",
            "12,8,5,-;a user's words: Killed process 471 (holm-vmm)",
        ] {
            assert_eq!(kill_of(record, 471), None, "{record}");
        }
    }
}
