//! From what `create` asked for to a container in a VM: one of its own, or its pod's.

use std::io::BufReader;
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Instant;

use holm_protocol::agent::NAMES_PORT;
use nix::libc::SIGHUP;

use super::{Event, EventSender, KILL_TIMEOUT, Made, Supervisor, Vm};
use crate::host::{Directories, Installation};
use crate::network::{Resolver, carry_prepared};
use crate::oci::bundle::Bundle;
use crate::oci::console::open_console;
use crate::oci::create::SuperviseWords;
use crate::oci::error::OciError;
use crate::oci::pod::{JoinRequest, Lease, Pod};
use crate::oci::record::Status;
use crate::oci::role::Role;
use crate::oci::stdio::{Ends, leave_inherited};
use crate::oci::store::OciContainer;
use crate::oci::{hooks, resolver, signals};
use crate::sandbox::{
    AgentClient, AgentError, BOOT_TIMEOUT, ContainerRequest, Growth, HostAccess, Sandbox, StartFrom, Told,
    VmShape, connect_agent,
};
use crate::supervisor::protocol::receive;
use crate::template::{self, TemplateStore};

impl Supervisor {
    pub(super) fn make(
        &mut self,
        words: &SuperviseWords,
        bundle: Bundle,
        listener: UnixListener,
        view: &Sender<Sender<Result<(), OciError>>>,
    ) -> Result<Made, OciError> {
        self.listen(listener);
        let state = self.record.state(Status::Creating);
        #[allow(deprecated)] // engines use it
        hooks::run("prestart", bundle.hooks(|hooks| hooks.prestart()), &state)?;
        hooks::run("createRuntime", bundle.hooks(|hooks| hooks.create_runtime()), &state)?;
        let ends = match &words.console_socket {
            Some(socket) => {
                let terminal = open_console(socket, bundle.console_size())?;
                leave_inherited()?;
                Ends::terminal(terminal)?
            }
            None if bundle.has_terminal() => Ends::inherited_terminal()?,
            None => Ends::inherited()?,
        };
        let made = self.make_in_vm(bundle, ends);
        // Losing the agent is a symptom: the VMM knows why.
        if let Err(OciError::Agent(AgentError::Lost { .. }) | OciError::Stream(_)) = &made {
            self.await_vmm_end(KILL_TIMEOUT);
            if let Some(end) = &self.vmm_end {
                return Err(OciError::VmEnded(end.reason.clone()));
            }
        }
        let made = made?;
        // The guest has made what is mounted on.
        let (done, shown) = mpsc::channel();
        view.send(done).map_err(|_| OciError::Died)?;
        shown.recv().map_err(|_| OciError::Died)??;
        self.write(Status::Created)?;
        Ok(made)
    }

    /// Takes requests and signals from now on.
    fn listen(&self, listener: UnixListener) {
        let sender = self.sender.clone();
        thread::spawn(move || {
            while let Ok((connection, _)) = listener.accept() {
                let sender = sender.clone();
                thread::spawn(move || {
                    let Ok(reading) = connection.try_clone() else { return };
                    if let Ok(Some(request)) = receive(&mut BufReader::new(reading)) {
                        // A supervisor that is at its end answers nobody, which is an answer.
                        let _ = sender.send(Event::Asked(Box::new(request), connection));
                    }
                });
            }
        });
        let sender = self.sender.clone();
        signals::listen(move |signal| sender.send(Event::Signal(signal)).is_ok());
    }

    fn make_in_vm(&mut self, bundle: Bundle, ends: Ends) -> Result<Made, OciError> {
        let vm = match &self.record.role {
            Role::Alone | Role::Sandbox => self.boot(&bundle)?,
            Role::Member(sandbox) => self.join(&bundle, &sandbox.find()?)?,
        };
        let Vm { mut guest, agent, vsock, told, interfaces, serve_names } = vm;
        hooks::tell_state(&mut guest.spec, &self.record.state(Status::Created))?;
        let asked = ends.ask(&vsock, &self.container.name(), "")?;
        agent.create_container(&ContainerRequest {
            spec: &guest.spec,
            files: &[],
            interfaces: &interfaces,
            serve_names,
            root: bundle.root.in_guest(&guest.root, &self.container.disk_id()),
            stdin: ends.has_stdin(),
            tty: bundle.has_terminal(),
            told: &told,
            start: false,
        })?;
        let carriers = asked.carry(&ends)?;
        let size = ends.size().or(bundle.console_size());
        if let (true, Some((columns, rows))) = (bundle.has_terminal(), size) {
            agent.resize_process("", columns, rows)?;
        }
        let (waiting, ended) = (agent.clone(), self.sender.clone());
        thread::spawn(move || ended.send(Event::WorkloadEnded(waiting.wait_process(""))));
        Ok(Made { bundle, agent, ends, carriers })
    }

    /// A VM of its own, into which others may come.
    fn boot(&mut self, bundle: &Bundle) -> Result<Vm, OciError> {
        let installation = Installation::find()?;
        installation.check()?;
        let name = self.container.name();
        let guest = bundle.for_guest(&name, 0, &[])?;
        let growth = Growth { memory_mib: VmShape::largest_pod_mib() };
        let shares = guest.shares.configs.len();
        let directories = Directories::from_environment();
        let templates = TemplateStore::new(&directories);
        let resolver = resolver::of(bundle.spec.mounts().as_deref().unwrap_or_default());
        let shape = bundle.shape(&self.record.role);
        let carried = carry_prepared(resolver, shape.network_queues())?;
        let (networks, interfaces): (Vec<_>, Vec<_>) = carried.into_iter().unzip();
        let mut host = HostAccess {
            networks,
            shares: guest.shares.configs.clone(),
            sockets: guest.shares.sockets.clone(),
            disks: bundle.root.make_disk(&self.container)?.into_iter().collect(),
            growth: Some(growth),
            locks: vec![self.container.lock_vm()?],
        };
        let serve_names = resolver == Resolver::InNamespace;
        if serve_names {
            let socket = self.container.sockets().join("vsock-names");
            self.names = Some(resolver::serve(&socket).map_err(OciError::system("cannot answer for names"))?);
            host.sockets.push((NAMES_PORT, socket));
        }
        let sandbox = self.sandbox.insert(Sandbox::boot(
            &installation,
            StartFrom::Templates(&templates),
            shape,
            Vec::new(),
            Vec::new(),
            host,
            &self.container.sockets(),
            EventSender(self.sender.clone()),
        )?);
        let (vsock, told) = (sandbox.vsock_socket.clone(), sandbox.told.clone());
        let memory_limit = VmShape::memory_limit(bundle.resources());
        self.pod = Some(Pod::of(sandbox, name.clone(), &self.record.role, memory_limit, shares, growth));
        let agent = AgentClient::new(self.await_agent()?, &name)?;
        bundle.root.forget_name(&self.container);
        if let Some(sandbox) = &self.sandbox {
            template::settle(templates, sandbox, &agent);
        }
        Ok(Vm { guest, agent, vsock, told, interfaces, serve_names })
    }

    /// A place in the VM of another container.
    fn join(&mut self, bundle: &Bundle, sandbox: &OciContainer) -> Result<Vm, OciError> {
        let name = self.container.name();
        let shares = bundle.for_guest(&name, 0, &[])?.shares;
        if !shares.sockets.is_empty() {
            return Err(OciError::Impossible(
                "a socket of the host, unless it is its pod's first".to_owned(),
            ));
        }
        let request = JoinRequest {
            name: name.clone(),
            pid: self.record.pid,
            namespaces: bundle.shared_namespaces(sandbox.record()?.pid)?,
            shares: shares.configs,
            disk: bundle.root.make_disk(&self.container)?,
            memory_limit: VmShape::memory_limit(bundle.resources()),
        };
        let taken = Lease::take(sandbox, request);
        bundle.root.forget_name(&self.container);
        let (lease, joined) = taken?;
        self.lease = Some(lease);
        let (theirs, vsock) = (sandbox.sockets().join("vsock"), self.container.sockets().join("vsock"));
        // For those who execute processes in it.
        symlink(&theirs, &vsock).map_err(|source| OciError::Write { path: vsock.clone(), source })?;
        let agent = connect_agent(&vsock).map_err(OciError::system("cannot reach the agent of the pod"))?;
        Ok(Vm {
            guest: bundle.for_guest(&name, joined.first_share, &joined.namespaces)?,
            agent: AgentClient::new(agent, &name)?,
            vsock,
            told: Told {
                devices: joined.disk.into_iter().collect(),
                memory_blocks: joined.memory_blocks,
                ..Told::default()
            },
            interfaces: Vec::new(),
            serve_names: false,
        })
    }

    fn await_agent(&mut self) -> Result<UnixStream, OciError> {
        let deadline = Instant::now() + BOOT_TIMEOUT;
        loop {
            match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Event::AgentConnected(connection)) => return Ok(connection),
                Ok(Event::VmmEnded(end)) => {
                    let reason = end.reason.clone();
                    self.vmm_end = Some(end);
                    return Err(OciError::VmEnded(reason));
                }
                Ok(Event::Signal(SIGHUP)) => return Err(OciError::Died),
                Ok(event) => self.waiting.push_back(event),
                Err(_) => return Err(OciError::BootTimeout(BOOT_TIMEOUT.as_secs())),
            }
        }
    }
}
