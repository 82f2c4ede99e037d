//! `CreateProcess`.

use std::os::fd::AsFd;
use std::sync::Arc;

use holm_protocol::agent::messages::{CreateProcessRequest, CreateProcessResponse};
use tokio::sync::mpsc;

use super::create_container::{ready, set_oom_score};
use crate::child;
use crate::child::channel;
use crate::container::{ProcessPlan, TerminalSize};
use crate::fault::{At, Fault};
use crate::oci;
use crate::oci::NamespaceKind;
use crate::reaper::Reaper;
use crate::registry::{Container, Process, Registry, check_id};
use crate::stdio::{self, Endpoint};
use crate::sys::clone::{Cloned, clone_process};
use crate::sys::pid_namespace;

/// Makes one more process in a running container, waiting to be started.
pub(super) async fn create_process(
    registry: &Registry,
    reaper: &Reaper,
    request: CreateProcessRequest,
) -> Result<CreateProcessResponse, Fault> {
    let id = &request.process.process_id;
    check_id(id)?;
    let container = registry.container(&request.process.container_id)?;
    if container.process(id).is_ok() {
        return Err(Fault::precondition(format!("process {id:?} exists already")));
    }
    if !container.first().is_running() {
        return Err(Fault::precondition("the container is not running"));
    }
    let process: oci::Process =
        serde_json::from_slice(&request.oci_process_json).refuse("reading the OCI process")?;
    let size = TerminalSize::new(request.stdio.columns, request.stdio.rows)?;
    let plan = ProcessPlan::new(&process, size, container.seccomp.clone(), container.personality)?;
    let process = spawn(&container, &plan, reaper, &request).await?;
    let pid = process.pid().as_raw();
    container.add(id.clone(), process);
    Ok(CreateProcessResponse { pid, ..Default::default() })
}

async fn spawn(
    container: &Container,
    plan: &ProcessPlan,
    reaper: &Reaper,
    request: &CreateProcessRequest,
) -> Result<Arc<Process>, Fault> {
    let first = container.first();
    let (child_stdio, pipes) = stdio::make(&request.stdio, plan.terminal.is_some())?;
    let (agent_end, child_end) = channel::pair()?;
    let cgroup = container.sandbox.cgroup.directory();
    let clone = || clone_process(0, Some(cgroup));
    let cloned = if container.namespaces.has(NamespaceKind::Pid) {
        pid_namespace::with_children_in(first.pidfd().as_fd(), clone)
    } else {
        clone()
    };
    let (pid, pidfd) = match cloned.at("making the process")? {
        Cloned::Child => {
            child::process::run(plan, container.namespaces, first.pidfd().as_fd(), &child_stdio, child_end)
        }
        Cloned::Parent { pid, pidfd } => (pid, pidfd),
    };
    let ended = reaper.watch(pid);
    drop((child_stdio, child_end));
    let ready = async {
        set_oom_score(pid, plan)?;
        ready(agent_end, pipes, &request.stdio).await
    };
    match ready.await {
        Ok((channel, streams, unheard)) => {
            let sandbox = Arc::clone(&container.sandbox);
            let process = Process::new((pid, pidfd), channel, streams, ended, sandbox, false);
            discard(unheard, &process);
            Ok(process)
        }
        Err(fault) => {
            crate::sys::signals::send_to(&pidfd, libc::SIGKILL).unwrap_or_default();
            Err(fault)
        }
    }
}

/// Reads an output that nobody will attach, so that the process does not block on it.
pub(super) fn discard(unheard: Option<Endpoint>, process: &Process) {
    if let Some(endpoint) = unheard {
        let (_, no_others) = mpsc::channel(1);
        tokio::spawn(stdio::pump(endpoint, None, no_others, None, process.ended()));
    }
}
