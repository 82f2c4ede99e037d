//! One container.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::personality::Persona;

use super::Process;
use crate::container::cgroup::Cgroup;
use crate::container::injected_files::Injected;
use crate::container::namespaces::Namespaces;
use crate::container::seccomp::Filter;
use crate::fault::Fault;
use crate::rootfs::Rootfs;

/// How many ended processes are remembered, for hosts that ask late.
const MAX_ENDED: usize = 64;

/// What a container has of the guest's.
pub(crate) struct Sandbox {
    pub(crate) cgroup: Cgroup,
    pub(crate) rootfs: Mutex<Rootfs>,
    /// What the host may change later.
    pub(crate) files: Mutex<Vec<Injected>>,
}

impl Sandbox {
    /// Gives everything back. All processes must have ended.
    pub(crate) fn tear_down(&self) {
        self.rootfs.lock().unwrap_or_else(PoisonError::into_inner).unmount();
        self.cgroup.remove();
    }
}

/// One container and its processes.
pub(crate) struct Container {
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) namespaces: Namespaces,
    /// Further processes run under the same filter and personality.
    pub(crate) seccomp: Option<Filter>,
    pub(crate) personality: Option<Persona>,
    first: Arc<Process>,
    /// In the order of their creation.
    others: Mutex<VecDeque<(String, Arc<Process>)>>,
}

impl Container {
    pub(crate) fn new(
        sandbox: Arc<Sandbox>,
        namespaces: Namespaces,
        seccomp: Option<Filter>,
        personality: Option<Persona>,
        first: Arc<Process>,
    ) -> Self {
        Self { sandbox, namespaces, seccomp, personality, first, others: Mutex::default() }
    }

    /// The container's first process.
    pub(crate) fn first(&self) -> Arc<Process> {
        Arc::clone(&self.first)
    }

    /// A further process.
    pub(crate) fn process(&self, id: &str) -> Result<Arc<Process>, Fault> {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let found = others.iter().find(|(known, _)| known == id);
        found
            .map(|(_, process)| Arc::clone(process))
            .ok_or_else(|| Fault::not_found(format!("there is no process {id:?}")))
    }

    /// Kills the further processes that run, frozen or not.
    pub(crate) fn end_others(&self) {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, process) in others.iter().filter(|(_, process)| !process.has_ended()) {
            // One that ended by itself is what is wanted.
            process.signal(libc::SIGKILL).unwrap_or_default();
        }
    }

    /// Adds a further process; forgets the oldest of too many ended ones.
    pub(crate) fn add(&self, id: String, process: Arc<Process>) {
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = others.iter().filter(|(_, process)| process.has_ended()).count();
        let oldest = others.iter().position(|(_, process)| process.has_ended());
        if let (true, Some(oldest)) = (ended >= MAX_ENDED, oldest) {
            others.remove(oldest);
        }
        others.push_back((id, process));
    }
}
