//! Containers that share a VM ([`Role`]): the first one, the sandbox, has the VM, and its supervisor adds the others to it.
//!
//! ```text
//!   supervisor of another container ──Join: shares, disk, limit──> sandbox's supervisor: these to the VMM, memory to spare
//!            │    │ <──Joined: numbers of the shares, place of the disk, blocks of memory── │
//!            │    └────────────── the connection stays as long as the container ────────────┘ its end: all of it is removed
//!            └──ttrpc──> agent: create, start, wait, exec, ... as for any container
//! ```
//!
//! Threads: the sandbox's main one adds; each removal, which waits for the guest, has one of its own.

use std::collections::HashMap;
use std::io::{BufReader, Read};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holm_protocol::vm_config::{DiskConfig, ShareConfig};
use holm_protocol::vm_control::DevicePlace;
use holm_protocol::vm_memory;
use serde::{Deserialize, Serialize};

use super::error::OciError;
use super::protocol::{Report, Request};
use super::role::{GuestNamespace, HostNamespace, Role};
use super::store::OciContainer;
use crate::sandbox::{AgentClient, Growth, LateShares, Sandbox, VmShape, VmmControl, add_disk};
use crate::supervisor::protocol::{receive, send};

/// How long the sandbox's supervisor may take to add a container, and to remove it.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What a container needs of the VM that it is added to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) struct JoinRequest {
    /// What the guest will call it.
    pub(super) name: String,
    /// What the host calls it.
    pub(super) pid: u32,
    /// What it has with others.
    pub(super) namespaces: Vec<HostNamespace>,
    /// The host's files for it.
    pub(super) shares: Vec<ShareConfig>,
    /// What its root is on, or what it writes.
    pub(super) disk: Option<DiskConfig>,
    /// Its memory limit in bytes, if it has one.
    pub(super) memory_limit: Option<u64>,
}

/// What it got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) struct Joined {
    /// What it has with others.
    pub(super) namespaces: Vec<GuestNamespace>,
    /// The number of its first share; the others follow.
    pub(super) first_share: u32,
    /// Where its disk is.
    pub(super) disk: Option<DevicePlace>,
    /// Memory of which the guest has to be told, by the addresses of its blocks.
    pub(super) memory_blocks: Vec<u64>,
}

/// The containers of a VM, as the supervisor of the first has them.
#[derive(Debug)]
pub(super) struct Pod {
    /// The first one's.
    name: String,
    /// Its memory limit; `None` for one that is there for the others only, which are all that needs memory.
    own: Option<Option<u64>>,
    shares: Arc<Mutex<LateShares>>,
    control: Arc<VmmControl>,
    members: HashMap<String, Member>,
    /// Whether others have ever been in it.
    is_shared: bool,
    /// Of which the guest knows, and which there is, in MiB.
    told_mib: u32,
    most_mib: u32,
}

#[derive(Clone, Debug)]
struct Member {
    pid: u32,
    shares: Vec<u32>,
    disk: Option<DevicePlace>,
    memory_limit: Option<u64>,
}

impl Member {
    /// Gives the VM what is asked for.
    fn gets(
        &mut self,
        request: &JoinRequest,
        late: &mut LateShares,
        control: &VmmControl,
    ) -> Result<(), OciError> {
        for share in &request.shares {
            self.shares.push(late.add(share)?);
        }
        self.disk = request.disk.as_ref().map(|disk| add_disk(control, disk)).transpose()?;
        Ok(())
    }

    /// Takes what it got from the VM, whatever the guest does with it.
    fn leaves(&self, late: &LateShares, control: &VmmControl) {
        self.shares.iter().for_each(|number| late.remove(*number));
        if let Some(place) = self.disk
            && let Err(error) = control.remove_device(place.slot)
        {
            tracing::warn!(%error, "a disk stays until its VM ends");
        }
    }
}

impl Pod {
    /// Without other containers yet; `memory_limit` is the first one's.
    pub(super) fn of(
        sandbox: &Sandbox,
        name: String,
        role: &Role,
        memory_limit: Option<u64>,
        shares: usize,
        growth: Growth,
    ) -> Self {
        let shares = Arc::new(Mutex::new(LateShares::of(&sandbox.vmm, shares)));
        let control = Arc::clone(&sandbox.vmm.control);
        let own = (*role != Role::Sandbox).then_some(memory_limit);
        // A guest takes more memory from a whole block on.
        let told_mib = sandbox.shape.memory_mib.next_multiple_of(vm_memory::MEMORY_BLOCK_MIB);
        Self {
            name,
            own,
            shares,
            control,
            members: HashMap::new(),
            is_shared: false,
            told_mib,
            most_mib: growth.memory_mib,
        }
    }

    /// What the guest calls a container of this VM.
    fn name_of(&self, pid: u32) -> Option<&str> {
        if pid == std::process::id() {
            return Some(&self.name);
        }
        self.members.iter().find(|(_, member)| member.pid == pid).map(|(name, _)| name.as_str())
    }

    /// Finds the containers with which one wants to have namespaces.
    fn find(&self, namespaces: &[HostNamespace]) -> Result<Vec<GuestNamespace>, OciError> {
        let find = |HostNamespace { kind, pid }: &HostNamespace| match self.name_of(*pid) {
            Some(name) => Ok(GuestNamespace { kind: *kind, of: name.to_owned() }),
            None => Err(OciError::Impossible(format!(
                "the {kind} namespace of process {pid}, which is no container in the VM of its network"
            ))),
        };
        namespaces.iter().map(find).collect()
    }

    /// Whether the VM is, or was, others', too.
    pub(super) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// How much memory the guest knows of, in MiB.
    pub(super) fn memory_mib(&self) -> u32 {
        self.told_mib
    }

    /// Whether one of this name is in it, or is still being removed.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Makes room for one more container.
    pub(super) fn join(&mut self, request: &JoinRequest) -> Result<Joined, OciError> {
        let namespaces = self.find(&request.namespaces)?;
        let mut late = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let first_share = late.next();
        let mut member =
            Member { pid: request.pid, shares: Vec::new(), disk: None, memory_limit: request.memory_limit };
        if let Err(error) = member.gets(request, &mut late, &self.control) {
            member.leaves(&late, &self.control);
            return Err(error);
        }
        drop(late);
        let disk = member.disk;
        self.is_shared = true;
        self.members.insert(request.name.clone(), member);
        // What an earlier one had is free by now, and the guest still knows of it.
        let limits = self.members.values().map(|member| member.memory_limit).chain(self.own);
        let needed = VmShape::pod_memory_mib(limits);
        let from_mib = self.told_mib;
        self.told_mib = needed.min(self.most_mib).max(from_mib);
        let memory_blocks = vm_memory::blocks(from_mib, self.told_mib);
        Ok(Joined { namespaces, first_share, disk, memory_blocks })
    }

    /// Waits for the end of the connection by which a container was added, and removes it then; `done` is called afterwards.
    pub(super) fn removes_at_the_end_of(
        &self,
        name: &str,
        client: UnixStream,
        agent: AgentClient,
        done: impl FnOnce() + Send + 'static,
    ) {
        let Some(member) = self.members.get(name) else { return };
        let (name, member) = (name.to_owned(), member.clone());
        let (shares, control) = (Arc::clone(&self.shares), Arc::clone(&self.control));
        std::thread::spawn(move || {
            // Nothing more is said.
            let _ = (&client).read(&mut [0]);
            let slots: Vec<u32> = member.disk.iter().map(|place| place.slot).collect();
            if let Err(error) = agent.remove_container(&name, &slots) {
                tracing::debug!(%error, "a container of the pod was not there to be removed");
            }
            let late = shares.lock().unwrap_or_else(PoisonError::into_inner);
            member.leaves(&late, &control);
            drop(late);
            done();
            // Who was killed need not be told.
            let _ = send(&client, &Report::Done);
        });
    }

    /// Its memory is others' from now on.
    pub(super) fn left(&mut self, name: &str) {
        self.members.remove(name);
    }
}

/// A container's place in the VM of another.
#[derive(Debug)]
pub(super) struct Lease(UnixStream);

impl Lease {
    /// Asks the supervisor of the sandbox for one.
    pub(super) fn take(sandbox: &OciContainer, request: JoinRequest) -> Result<(Self, Joined), OciError> {
        let what = "cannot reach the supervisor of the pod's sandbox";
        let connection = UnixStream::connect(sandbox.control()).map_err(OciError::system(what))?;
        connection.set_read_timeout(Some(TIMEOUT)).map_err(OciError::system(what))?;
        send(&connection, &Request::Join(Box::new(request))).map_err(OciError::system(what))?;
        match receive(&mut BufReader::new(&connection)).map_err(OciError::system(what))? {
            Some(Report::Joined(joined)) => Ok((Self(connection), joined)),
            Some(Report::Failed { message }) => Err(OciError::Refused(message)),
            _ => Err(OciError::Died),
        }
    }

    /// Gives it back; returns when nothing of the container is left in the VM.
    pub(super) fn end(self) {
        let told = self.0.shutdown(Shutdown::Write);
        let answer = told.and_then(|()| receive::<Report>(&mut BufReader::new(&self.0)));
        if let Err(error) = answer {
            tracing::warn!(%error, "the pod's sandbox does not say that the container is gone from its VM");
        }
    }
}
