//! `CreateContainer`.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex};

use holm_protocol::agent::messages::{CreateContainerRequest, CreateContainerResponse, Stdio};
use nix::unistd::Pid;

use crate::awaken::awaken;
use crate::child;
use crate::child::channel::{self, AgentEnd};
use crate::container::cgroup::Cgroup;
use crate::container::interface::Interfaces;
use crate::container::mounts::MountPlan;
use crate::container::{ContainerPlan, ProcessPlan, SpareNetwork, TerminalSize, injected_files};
use crate::fault::{At, Fault};
use crate::names;
use crate::oci::NamespaceKind;
use crate::reaper::Reaper;
use crate::registry::{Container, Process, Registry, Sandbox, check_id};
use crate::rootfs::Rootfs;
use crate::shared_memory;
use crate::shares;
use crate::sockets;
use crate::stdio::{self, AgentPipes, Streams, Tty};
use crate::sys::clone::{Cloned, clone_process};
use crate::sys::pid_namespace;
use crate::volumes;

/// Makes a container whose first process waits to be started, or goes at once.
pub(super) async fn create_container(
    registry: &Registry,
    reaper: &Reaper,
    spare_network: &SpareNetwork,
    request: CreateContainerRequest,
) -> Result<CreateContainerResponse, Fault> {
    check_id(&request.container_id)?;
    if registry.layers(&request.container_id).is_ok() {
        return Err(Fault::precondition(format!("container {:?} exists already", request.container_id)));
    }
    awaken(&request.awakening)?;
    let size = TerminalSize::new(request.stdio.columns, request.stdio.rows)?;
    let first_of = |id: &str| registry.container(id)?.first().pidfd().try_clone().at("finding a container");
    let mut plan = ContainerPlan::parse(&request.oci_spec_json, size, first_of)?;
    plan.interfaces = Interfaces::find(&request.interfaces)?;
    plan.network = plan.namespaces.makes(NamespaceKind::Network).then(|| spare_network.take()).flatten();
    let sandbox = Arc::new(make_sandbox(&request, &mut plan)?);
    match create_process(&plan, reaper, &request.stdio, &sandbox).await {
        Ok(first) => {
            let pid = first.pid().as_raw();
            if request.serve_names {
                names::serve(first.pidfd())?;
            }
            let ContainerPlan { namespaces, process: ProcessPlan { seccomp, personality, .. }, .. } = plan;
            let container = Container::new(sandbox, namespaces, seccomp, personality, Arc::clone(&first));
            registry.add(request.container_id, Arc::new(container));
            if request.start {
                first.start().await?;
            }
            Ok(CreateContainerResponse { pid, ..Default::default() })
        }
        Err(fault) => {
            sandbox.tear_down();
            shared_memory::remove_of(&request.container_id);
            Err(fault)
        }
    }
}

fn make_sandbox(request: &CreateContainerRequest, plan: &mut ContainerPlan) -> Result<Sandbox, Fault> {
    let rootfs = &request.rootfs;
    shares::mount_for(Path::new(&rootfs.directory), &plan.mounts)?;
    volumes::mount_for(&plan.mounts)?;
    sockets::listen_for(&plan.mounts)?;
    shared_memory::mount_for(&request.container_id, &mut plan.mounts)?;
    let points: Vec<_> =
        plan.mounts.iter().map(MountPlan::point).chain(injected_files::points(&request.files)).collect();
    let mut rootfs = Rootfs::mount(&request.container_id, rootfs, &points)?;
    let files = shares::fill(&plan.mounts, &rootfs.path())
        .and_then(|()| rootfs.mount_view(&plan.mounts))
        .and_then(|()| rootfs.make_files_directory())
        .and_then(|directory| {
            shares::copy_up(&mut plan.mounts, &rootfs.path(), &directory)?;
            injected_files::write(&directory, &request.files)
        });
    let made = files.and_then(|(files, mounts)| {
        plan.mounts.extend(mounts);
        Ok((files, Cgroup::create(&request.container_id, &plan.resources)?))
    });
    match made {
        Ok((files, cgroup)) => Ok(Sandbox { cgroup, rootfs: Mutex::new(rootfs), files: Mutex::new(files) }),
        Err(fault) => {
            rootfs.unmount();
            Err(fault)
        }
    }
}

async fn create_process(
    plan: &ContainerPlan,
    reaper: &Reaper,
    stdio: &Stdio,
    sandbox: &Arc<Sandbox>,
) -> Result<Arc<Process>, Fault> {
    let rootfs = sandbox.rootfs.lock().map(|rootfs| rootfs.path()).at("finding the root")?;
    let (child_stdio, pipes) = stdio::make(stdio, plan.process.terminal.is_some())?;
    let (agent_end, child_end) = channel::pair()?;
    let namespaces = plan.namespaces.at_clone(plan.network.is_some());
    let clone = || clone_process(namespaces, Some(sandbox.cgroup.directory()));
    let theirs = plan.joined.iter().find(|(kind, _)| *kind == NamespaceKind::Pid);
    let cloned = match theirs {
        Some((_, process)) => pid_namespace::with_children_in(process.as_fd(), clone),
        None => clone(),
    };
    let (pid, pidfd) = match cloned.at("making the container's process")? {
        Cloned::Child => child::container::run(plan, Path::new(&rootfs), &child_stdio, child_end),
        Cloned::Parent { pid, pidfd } => (pid, pidfd),
    };
    let ended = reaper.watch(pid);
    drop((child_stdio, child_end));
    let ready = async {
        set_oom_score(pid, &plan.process)?;
        ready(agent_end, pipes, stdio).await
    };
    match ready.await {
        Ok((channel, streams, unheard)) => {
            let process = Process::new((pid, pidfd), channel, streams, ended, Arc::clone(sandbox), true);
            super::create_process::discard(unheard, &process);
            Ok(process)
        }
        Err(fault) => {
            sandbox.cgroup.kill().unwrap_or_default();
            ended.await.map(drop).unwrap_or_default();
            Err(fault)
        }
    }
}

/// Waits until the process waits; the streams are then complete.
pub(super) async fn ready(
    mut channel: AgentEnd,
    pipes: AgentPipes,
    stdio: &Stdio,
) -> Result<(AgentEnd, Streams, Option<stdio::Endpoint>), Fault> {
    match channel.ready().await? {
        Some(master) => {
            let tty = Tty::new(master).at("taking over the terminal")?;
            let (streams, unheard) = Streams::with_tty(tty, stdio);
            Ok((channel, streams, unheard))
        }
        None => Ok((channel, Streams::new(pipes), None)),
    }
}

/// Tells the kernel how gladly to kill the process for memory. The agent itself, as PID 1, is never chosen.
pub(super) fn set_oom_score(pid: Pid, plan: &ProcessPlan) -> Result<(), Fault> {
    let Some(score) = plan.oom_score_adj else { return Ok(()) };
    std::fs::write(format!("/proc/{pid}/oom_score_adj"), score.to_string()).refuse("setting oom_score_adj")
}
