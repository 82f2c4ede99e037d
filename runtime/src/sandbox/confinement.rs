//! How a VMM is confined, by the host kernel's own account of its process: proc_pid_status(5), proc_pid_ns(5). What the VMM
//! says of itself would prove nothing.

use procfs::ProcResult;
use procfs::process::{Process, Status};
use serde::Serialize;

/// `SECCOMP_MODE_FILTER` (linux/seccomp.h).
const FILTER: u32 = 2;

/// What a process cannot do, as `holm inspect` tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Confinement {
    /// As whom it runs.
    pub user: u32,
    /// What its threads may do beyond an ordinary user, all together.
    pub capabilities: Vec<String>,
    /// Whether none of them can gain privileges by executing a program.
    pub no_new_privileges: bool,
    /// Whether each of them has a filter of system calls.
    pub seccomp: bool,
    /// The namespaces that are not the caller's.
    pub namespaces: Vec<String>,
    /// How many threads it has.
    pub threads: usize,
}

impl Confinement {
    /// That of a process.
    ///
    /// # Errors
    /// It is gone, or of somebody else's.
    pub fn of(pid: u32) -> ProcResult<Self> {
        let process = Process::new(i32::try_from(pid).unwrap_or(i32::MAX))?;
        let threads = process.tasks()?.map(|task| task?.status()).collect::<ProcResult<Vec<Status>>>()?;
        let held = threads.iter().fold(0, |held, thread| held | thread.capeff);
        let mut capabilities: Vec<_> =
            caps::all().into_iter().filter(|capability| held & capability.bitmask() != 0).collect();
        capabilities.sort_by_key(caps::Capability::index);
        let (its, own) = (process.namespaces()?, Process::myself()?.namespaces()?);
        let is_its = |name: &std::ffi::OsString| {
            its.0.get(name).map(|namespace| namespace.identifier)
                != own.0.get(name).map(|namespace| namespace.identifier)
        };
        // What children get is not its own.
        let kinds = its.0.keys().filter(|name| !name.as_encoded_bytes().ends_with(b"_for_children"));
        let mut namespaces: Vec<_> =
            kinds.filter(|name| is_its(name)).map(|name| name.to_string_lossy().into_owned()).collect();
        namespaces.sort();
        Ok(Self {
            user: process.status()?.euid,
            capabilities: capabilities.iter().map(ToString::to_string).collect(),
            no_new_privileges: threads.iter().all(|thread| thread.nonewprivs == Some(1)),
            seccomp: threads.iter().all(|thread| thread.seccomp == Some(FILTER)),
            namespaces,
            threads: threads.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_described_by_what_its_kernel_tells() {
        let own = Confinement::of(std::process::id()).unwrap();
        assert!(own.namespaces.is_empty() && own.threads >= 1);
        assert_eq!(own.user, nix::unistd::geteuid().as_raw());
        assert!(Confinement::of(u32::MAX).is_err());
    }
}
