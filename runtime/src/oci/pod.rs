//! Containers that share a VM (Kubernetes' pods, by the annotations of containerd's CRI): the first one, the sandbox, has the VM, and
//! its supervisor adds the others to it.
//!
//! ```text
//!   supervisor of another container ──Join: shares, limit──> sandbox's supervisor: shares to the VMM, memory to spare
//!            │    │ <──────────Joined: numbers of the shares, blocks of memory── │
//!            │    └─────────── the connection stays as long as the container ────┘ its end: container and shares are removed
//!            └──ttrpc──> agent: create, start, wait, exec, ... as for any container
//! ```
//!
//! Threads: the sandbox's main one adds; each removal, which waits for the guest, has one of its own.

use std::collections::HashMap;
use std::io::{BufReader, Read};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holm_protocol::vm_config::ShareConfig;
use holm_protocol::vm_memory;
use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};

use super::bundle::read_spec;
use super::error::OciError;
use super::id::OciId;
use super::protocol::{Report, Request};
use super::record::Record;
use super::store::{OciContainer, Store};
use crate::sandbox::{AgentClient, Growth, LateShares, Sandbox, VmShape};
use crate::supervisor::protocol::{receive, send};

/// What a container of a pod is: `sandbox`, or `container` for all others.
const TYPE: &str = "io.kubernetes.cri.container-type";
/// Which container is its sandbox.
const SANDBOX: &str = "io.kubernetes.cri.sandbox-id";
/// How long the sandbox's supervisor may take to add a container, and to remove it.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What a container has to do with a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Nothing.
    Alone,
    /// It has the VM, in which others will be.
    Sandbox,
    /// It is in the VM of this container.
    Member(String),
}

impl Role {
    /// As the annotations say. A member that does not say of what is alone.
    pub(super) fn of(spec: &Spec) -> Self {
        Self::by(|key| spec.annotations().as_ref().and_then(|all| all.get(key)).map(String::as_str))
    }

    /// The same of a container that was made.
    pub(super) fn of_record(record: &Record) -> Self {
        Self::by(|key| record.annotations.get(key).map(String::as_str))
    }

    fn by<'a>(annotation: impl Fn(&str) -> Option<&'a str>) -> Self {
        match (annotation(TYPE), annotation(SANDBOX)) {
            (Some("sandbox"), _) => Self::Sandbox,
            (Some("container"), Some(sandbox)) if !sandbox.is_empty() => Self::Member(sandbox.to_owned()),
            _ => Self::Alone,
        }
    }
}

/// The id of the container in whose VM a bundle's container is to be, if it is not to have its own.
///
/// # Errors
/// There is no such bundle, or the id is none.
pub fn sandbox_of(bundle: &Path) -> Result<Option<OciId>, OciError> {
    match Role::of(&read_spec(bundle)?.1) {
        Role::Member(sandbox) => sandbox.parse().map(Some),
        Role::Alone | Role::Sandbox => Ok(None),
    }
}

/// Where the container is that has a pod's VM.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) struct SandboxWords {
    pub(super) root: PathBuf,
    pub(super) id: String,
}

impl SandboxWords {
    pub(super) fn find(&self) -> Result<OciContainer, OciError> {
        Store::at(self.root.clone()).find(self.id.parse()?)
    }
}

/// What a container needs of the VM that it is added to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) struct JoinRequest {
    /// What the guest will call it.
    pub(super) name: String,
    /// The host's files for it.
    pub(super) shares: Vec<ShareConfig>,
    /// Its memory limit in bytes, if it has one.
    pub(super) memory_limit: Option<u64>,
}

/// What it got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) struct Joined {
    /// The number of its first share; the others follow.
    pub(super) first_share: u32,
    /// Memory of which the guest has to be told, by the addresses of its blocks.
    pub(super) memory_blocks: Vec<u64>,
}

/// A pod, as the supervisor of its sandbox has it.
#[derive(Debug)]
pub(super) struct Pod {
    shares: Arc<Mutex<LateShares>>,
    members: HashMap<String, Member>,
    /// Of which the guest knows, and which there is, in MiB.
    told_mib: u32,
    most_mib: u32,
}

#[derive(Debug)]
struct Member {
    shares: Vec<u32>,
    memory_limit: Option<u64>,
}

impl Pod {
    /// Without other containers yet.
    pub(super) fn of(sandbox: &Sandbox, shares: usize, growth: Growth) -> Self {
        let shares = LateShares::of(&sandbox.vmm, shares);
        let (told_mib, most_mib) = (sandbox.shape.memory_mib, growth.memory_mib);
        Self { shares: Arc::new(Mutex::new(shares)), members: HashMap::new(), told_mib, most_mib }
    }

    /// Whether one of this name is in it, or is still being removed.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Makes room for one more container.
    pub(super) fn join(&mut self, request: &JoinRequest) -> Result<Joined, OciError> {
        let mut late = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let first_share = late.next();
        let mut shares = Vec::new();
        for share in &request.shares {
            match late.add(share) {
                Ok(number) => shares.push(number),
                Err(error) => {
                    shares.iter().for_each(|number| late.remove(*number));
                    return Err(error.into());
                }
            }
        }
        drop(late);
        let member = Member { shares, memory_limit: request.memory_limit };
        self.members.insert(request.name.clone(), member);
        // What an earlier one had is free by now, and the guest still knows of it.
        let needed = VmShape::pod_memory_mib(self.members.values().map(|member| member.memory_limit));
        let from_mib = self.told_mib;
        self.told_mib = needed.min(self.most_mib).max(from_mib);
        Ok(Joined { first_share, memory_blocks: vm_memory::blocks(from_mib, self.told_mib) })
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
        let (name, numbers, shares) = (name.to_owned(), member.shares.clone(), Arc::clone(&self.shares));
        std::thread::spawn(move || {
            // Nothing more is said.
            let _ = (&client).read(&mut [0]);
            if let Err(error) = agent.remove_container(&name) {
                tracing::debug!(%error, "a container of the pod was not there to be removed");
            }
            let late = shares.lock().unwrap_or_else(PoisonError::into_inner);
            numbers.into_iter().for_each(|number| late.remove(number));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_say_what_a_container_is() {
        let role = |annotations: serde_json::Value| {
            let spec = serde_json::json!({"ociVersion": "1.0.2", "annotations": annotations});
            Role::of(&serde_json::from_value(spec).unwrap())
        };
        assert_eq!(role(serde_json::json!({TYPE: "sandbox", SANDBOX: "a"})), Role::Sandbox);
        assert_eq!(role(serde_json::json!({TYPE: "container", SANDBOX: "a"})), Role::Member("a".to_owned()));
        for alone in
            [serde_json::json!({}), serde_json::json!({TYPE: "container"}), serde_json::json!({SANDBOX: "a"})]
        {
            assert_eq!(role(alone), Role::Alone);
        }
    }
}
