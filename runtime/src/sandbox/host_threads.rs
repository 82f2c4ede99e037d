//! A VM's threads on the host: on which processors they run, and with which weight.
//!
//! A thread inherits both from the one that makes it. So what is set for this thread before the VMM starts holds for all of
//! the VM, and for a VM that runs it is set for each of its threads, until none is new.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::container::settings::{CpuList, CpuShares};

/// Why a VM cannot run where it is to run.
#[derive(Debug, thiserror::Error)]
pub enum HostThreadsError {
    /// The host does not let it run on these processors.
    #[error("cannot run on CPUs {list}")]
    Cpus {
        /// Which were asked for.
        list: CpuList,
        /// Why.
        #[source]
        source: Errno,
    },
    /// Its threads cannot be found.
    #[error("cannot list the threads of the VM")]
    List(#[source] io::Error),
}

/// Sets what is given for the calling thread, and so for what it starts.
///
/// # Errors
/// The host does not let it run on these processors.
pub fn confine_this_thread(
    cpus: Option<&CpuList>,
    shares: Option<CpuShares>,
) -> Result<(), HostThreadsError> {
    confine(Pid::from_raw(0), cpus, shares).map_err(|source| refused(cpus, source))
}

/// Sets what is given for every thread of a process.
///
/// # Errors
/// As [`confine_this_thread`], or its threads cannot be listed.
pub fn confine_process(
    pid: u32,
    cpus: Option<&CpuList>,
    shares: Option<CpuShares>,
) -> Result<(), HostThreadsError> {
    let mut done = BTreeSet::new();
    loop {
        let known = done.len();
        for entry in fs::read_dir(format!("/proc/{pid}/task")).map_err(HostThreadsError::List)? {
            let name = entry.map_err(HostThreadsError::List)?.file_name();
            let Some(thread) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            if done.insert(thread) {
                match confine(Pid::from_raw(thread), cpus, shares) {
                    // Ended meanwhile.
                    Ok(()) | Err(Errno::ESRCH) => {}
                    Err(source) => return Err(refused(cpus, source)),
                }
            }
        }
        if done.len() == known {
            return Ok(());
        }
    }
}

fn refused(cpus: Option<&CpuList>, source: Errno) -> HostThreadsError {
    match cpus {
        Some(list) => HostThreadsError::Cpus { list: list.clone(), source },
        None => HostThreadsError::List(source.into()),
    }
}

fn confine(thread: Pid, cpus: Option<&CpuList>, shares: Option<CpuShares>) -> Result<(), Errno> {
    if let Some(list) = cpus {
        let mut set = CpuSet::new();
        list.cpus().iter().try_for_each(|cpu| set.set(*cpu))?;
        sched_setaffinity(thread, &set)?;
    }
    if let Some(shares) = shares {
        let thread = rustix::process::Pid::from_raw(thread.as_raw());
        if let Err(error) = rustix::process::setpriority_process(thread, shares.niceness()) {
            // More than the default needs a privilege; the weight inside the guest holds all the same.
            tracing::warn!(%error, "the VM's weight on the host was not set");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_process_moves_to_another_processor_and_weight() {
        let mut child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
        let (cpus, shares) = ("0".parse().unwrap(), "335".parse().unwrap());
        let result = confine_process(child.id(), Some(&cpus), Some(shares));
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        result.unwrap();
        assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
        // The name in brackets, then from field 3 on: proc(5) has the niceness as field 19.
        let niceness = stat.rsplit(')').next().unwrap().split_whitespace().nth(16);
        assert_eq!(niceness, Some("5"), "{stat}");
        assert!(confine_process(child.id(), None, None).is_err());
    }
}
