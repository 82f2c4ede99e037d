//! One life of a container: its VM from boot to the end of the workload.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, Instant};

use holm_protocol::stream::{StreamHeader, StreamKind};
use holm_protocol::vm_config::SegmentConfig;
use oci_spec::runtime::Process;
use time::OffsetDateTime;

use super::error::SupervisorError;
use super::event::{Event, EventSender};
use super::health::HealthMonitor;
use super::net::Networking;
use super::protocol::Report;
use super::resume::Resume;
use super::run::Supervisor;
use super::stop::Escalation;
use crate::bundle;
use crate::container::settings::{Settings, SignalName};
use crate::container::{State, Status};
use crate::durable::Durability;
use crate::host::Installation;
use crate::image::ImageStore;
use crate::logs::Log;
use crate::sandbox::{
    AgentClient, AgentError, BOOT_TIMEOUT, ContainerRequest, Exit, GuestRoot, HostAccess, IMAGE_DISK,
    PendingStream, Sandbox, StartFrom, VmShape, VmmEnd, WRITABLE_DISK, confine_this_thread, file_disk,
};
use crate::storage;
use crate::template::TemplateStore;
use crate::volume::{self, VolumeStore};

/// How long to wait for the VMM's own words after the agent was lost.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(2);
/// What belongs to one life.
#[derive(Default)]
pub(super) struct Vm {
    pub(super) sandbox: Option<Sandbox>,
    pub(super) agent: Option<AgentClient>,
    /// What the workload is, for those that run beside it.
    pub(super) process: Option<Process>,
    /// Whether the container's root is mounted in it.
    pub(super) has_files: bool,
    /// It stands still: it went into a checkpoint and ends.
    pub(super) is_saved: bool,
    /// How the VMM ended.
    pub(super) end: Option<VmmEnd>,
    /// How the workload ended.
    pub(super) exit: Option<Result<Exit, AgentError>>,
    /// When the workload started to run.
    pub(super) started: Option<Instant>,
    /// Its networks.
    pub(super) network: Option<Networking>,
    /// Where its health is asked for.
    pub(super) health: Option<HealthMonitor>,
    /// The thread of the last healthcheck.
    pub(super) probe: Option<thread::JoinHandle<()>>,
}

impl Supervisor {
    pub(super) fn live(&mut self) -> Result<Exit, SupervisorError> {
        let result = self.start_and_wait();
        // Losing the agent is a symptom: the VMM knows why.
        if let Err(SupervisorError::Agent(AgentError::Lost { .. }) | SupervisorError::Stream(_)) = &result {
            self.hear_last_words();
            if let Some(end) = self.vm.end.clone() {
                return Err(SupervisorError::VmEnded(end));
            }
        }
        result
    }

    fn start_and_wait(&mut self) -> Result<Exit, SupervisorError> {
        let settings = &self.container.settings()?;
        let (tty, open_stdin) = (settings.tty, settings.open_stdin);
        let image =
            ImageStore::open(self.store.directories().root())?.resolve(&self.container.record.image_id)?;
        let log = Log::open(&settings.log_config, &self.container)?;
        holm_faults::crash!("supervisor.log-opened");
        let hostname = self.container.record.hostname(&self.container.id);
        let mut bundle = bundle::build(image.config(), settings, &hostname)?;
        let volumes = VolumeStore::new(self.store.directories().clone());
        // As in Docker, volumes are filled for a new container.
        let is_new = !self.ran_before && self.restarts.count == 0;
        let shares = volume::shares(&settings.mounts, &settings.device_rates, &volumes, is_new)?;
        bundle.add_mounts(shares.mounts);
        let mut host = HostAccess {
            growth: None,
            shares: shares.configs,
            sockets: shares.sockets,
            disks: shares.disks,
            locks: shares.locks,
            networks: Vec::new(),
        };
        holm_faults::crash!("supervisor.shares-found");
        self.attach_networks(VmShape::for_settings(settings), &mut host)?;
        holm_faults::crash!("supervisor.networks-attached");
        let segments = image.rootfs()?.segments;
        let resume = self.begin_resuming(&mut host)?;
        match &resume {
            Some(resume) => self.boot_resumed(resume, segments, host)?,
            None => {
                // With --rm nobody mounts the layer after this life.
                self.make_layer(if settings.auto_remove {
                    Durability::OneLife
                } else {
                    Durability::Lasting
                })?;
                self.boot(settings, segments, host)?;
            }
        }
        holm_faults::crash!("supervisor.vm-booted");
        self.begin_connecting();
        let connection = self.await_agent()?;
        holm_faults::crash!("supervisor.agent-called");
        let guest_id = resume.as_ref().map_or(self.container.id.as_str(), Resume::guest_id);
        let agent = AgentClient::new(connection, guest_id)?;
        self.vm.agent = Some(agent.clone());
        self.settle_template(&agent);
        let networks = self.connected_networks(&hostname)?;
        holm_faults::crash!("supervisor.networks-connected");
        // Clients had the time of a boot to ask for the start, and those that run a container did.
        let start = self.start_asked;
        // They are accepted while the container is made.
        let outputs = self.outputs.keys().map(|kind| Ok((*kind, self.ask_for(*kind)?)));
        let outputs = outputs.collect::<Result<Vec<_>, SupervisorError>>()?;
        let stdin = open_stdin.then(|| self.ask_for(StreamKind::Stdin)).transpose()?;
        let is_new = resume.is_none();
        match resume {
            Some(resume) => self.resume(resume, &agent, &hostname, &networks)?,
            None => agent.create_container(&ContainerRequest {
                spec: &bundle.spec,
                files: &networks.files,
                interfaces: &networks.interfaces,
                serve_names: networks.serve_names,
                root: GuestRoot::Disks { image: IMAGE_DISK, writable: WRITABLE_DISK },
                told: &self.told(),
                stdin: open_stdin,
                tty,
                start,
            })?,
        }
        holm_faults::crash!("supervisor.container-created");
        shares.fill.done();
        holm_faults::crash!("supervisor.volumes-filled");
        self.vm.has_files = true;
        self.vm.process = bundle.spec.process().clone();
        for (kind, guest) in outputs {
            let guest = guest.connected()?;
            if let Some(output) = self.outputs.get_mut(&kind) {
                output.carry(guest, Some(log.stream(kind)));
            }
        }
        let stdin = stdin.map(PendingStream::connected).transpose()?;
        if !start {
            self.await_start()?;
        }
        if !is_new {
            agent.thaw()?;
        } else if !start {
            agent.start_process("")?;
        }
        holm_faults::crash!("supervisor.process-started");
        if let Some(guest) = stdin {
            self.input.open(guest);
        }
        self.started(agent)?;
        self.learn_for_templates();
        self.await_end()
    }

    /// Makes the writable layer, if there is none yet.
    pub(super) fn make_layer(&self, durability: Durability) -> Result<(), SupervisorError> {
        let layer = self.container.layer();
        if !layer.exists() {
            let (blank, size) = (self.store.directories().blank(), self.container.record.settings.layer_size);
            storage::create_writable_layer(&blank, &layer, size.bytes(), durability)?;
        }
        Ok(())
    }

    pub(super) fn boot(
        &mut self,
        settings: &Settings,
        image_segments: Vec<SegmentConfig>,
        host: HostAccess,
    ) -> Result<(), SupervisorError> {
        let templates = TemplateStore::new(self.store.directories());
        let from = if settings.cold { StartFrom::Nothing } else { StartFrom::Templates(&templates) };
        let (layer, shape) = (self.container.layer(), VmShape::for_settings(settings));
        self.boot_from(from, settings, shape, &layer, image_segments, host)
    }

    pub(super) fn boot_from(
        &mut self,
        from: StartFrom<'_>,
        settings: &Settings,
        shape: VmShape,
        layer: &Path,
        image_segments: Vec<SegmentConfig>,
        host: HostAccess,
    ) -> Result<(), SupervisorError> {
        let installation = Installation::find()?;
        installation.check()?;
        let (layer_bytes, rates) = (settings.layer_size.bytes(), settings.device_rates.of("/"));
        let layer_disk = file_disk(WRITABLE_DISK, layer, layer_bytes, false, rates);
        holm_faults::crash!("supervisor.boot");
        // What this process does for the container is done there, too.
        confine_this_thread(settings.limits.cpuset_cpus.as_ref(), settings.limits.cpu_shares)?;
        self.vm.sandbox = Some(Sandbox::boot(
            &installation,
            from,
            shape,
            image_segments,
            vec![layer_disk],
            host,
            &self.run_directory(),
            EventSender(self.life, self.sender.clone()),
        )?);
        Ok(())
    }

    fn ask_for(&self, kind: StreamKind) -> Result<PendingStream, SupervisorError> {
        let container_id = self.vm.agent.as_ref().map(|agent| agent.container_id().to_owned());
        let container_id = container_id.unwrap_or_default();
        let header = StreamHeader { container_id, process_id: String::new(), kind };
        let socket = self.vm.sandbox.as_ref().map_or(Path::new(""), |sandbox| &sandbox.vsock_socket);
        Ok(PendingStream::ask(socket, header)?)
    }

    pub(super) fn await_agent(&mut self) -> Result<UnixStream, SupervisorError> {
        let deadline = Instant::now() + BOOT_TIMEOUT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(Event::AgentConnected(life, connection)) if life == self.life => return Ok(connection),
                Ok(event) => self.handle(event)?,
                Err(_) => return Err(SupervisorError::BootTimeout(BOOT_TIMEOUT.as_secs())),
            }
        }
    }

    fn await_start(&mut self) -> Result<(), SupervisorError> {
        let mut anybody = !self.clients.is_empty();
        while !self.start_asked {
            match self.events.recv() {
                Ok(event) => self.handle(event)?,
                Err(_) => return Err(SupervisorError::Abandoned),
            }
            anybody |= !self.clients.is_empty();
            if anybody && self.clients.is_empty() && !self.start_asked {
                return Err(SupervisorError::Abandoned);
            }
        }
        Ok(())
    }

    fn started(&mut self, agent: AgentClient) -> Result<(), SupervisorError> {
        let (life, sender) = (self.life, self.sender.clone());
        thread::spawn(move || sender.send(Event::WorkloadEnded(life, agent.wait_process(""))));
        let now = Instant::now();
        self.vm.started = Some(now);
        self.vm.health = HealthMonitor::new(self.container.record.settings.healthcheck.as_ref(), now);
        if let Some(monitor) = &self.vm.health {
            self.container.write_health(&monitor.health);
        }
        let shape = self.vm.sandbox.as_ref().map(|sandbox| sandbox.shape);
        self.state = State {
            status: Status::Running,
            pid: self.vm.sandbox.as_ref().map_or(0, |sandbox| sandbox.vmm.pid()),
            supervisor_pid: std::process::id(),
            vm_cpus: shape.map_or(0, |shape| shape.vcpus),
            vm_memory_mib: shape.map_or(0, |shape| shape.memory_mib),
            started_at: Some(OffsetDateTime::now_utc()),
            restart_count: self.restarts.count,
            ..State::default()
        };
        holm_faults::crash!("supervisor.started.unwritten");
        self.write_state()?;
        self.container.note("start", &[]);
        holm_faults::crash!("supervisor.started.written");
        self.clients.tell(&Report::Started);
        Ok(())
    }

    fn await_end(&mut self) -> Result<Exit, SupervisorError> {
        loop {
            let escalation = self.stop.and_then(super::stop::Stop::deadline);
            let event = match escalation.into_iter().chain(self.probe_deadline()).min() {
                None => self.events.recv().map_err(|_| SupervisorError::Abandoned)?,
                Some(at) => match self.events.recv_timeout(at.saturating_duration_since(Instant::now())) {
                    Ok(event) => event,
                    Err(RecvTimeoutError::Timeout) if escalation == Some(at) => {
                        self.escalate();
                        continue;
                    }
                    Err(RecvTimeoutError::Timeout) => {
                        self.probe();
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => return Err(SupervisorError::Abandoned),
                },
            };
            self.handle(event)?;
            if let Some(exit) = self.vm.exit.take() {
                holm_faults::crash!("supervisor.workload-ended");
                return Ok(exit?);
            }
        }
    }

    /// The container should have stopped by now.
    fn escalate(&mut self) {
        let Some(stop) = &mut self.stop else { return };
        let killed = match (stop.escalate(Instant::now()), &self.vm.agent) {
            (Escalation::Kill, Some(agent)) => agent.signal_process("", SignalName::KILL.number()).is_ok(),
            _ => false,
        };
        // An agent that cannot be asked cannot be waited for either.
        if !killed {
            self.kill();
        }
    }

    pub(super) fn kill(&self) {
        if let Some(sandbox) = &self.vm.sandbox {
            sandbox.vmm.kill();
        }
    }

    /// Waits until the VMM is gone, if there was one.
    pub(super) fn hear_last_words(&mut self) {
        let deadline = Instant::now() + LAST_WORDS_TIMEOUT;
        while self.vm.sandbox.is_some() && self.vm.end.is_none() {
            match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                // Clients are still heard: one that is turned away here would take a state that is not final for the end.
                Ok(event) => drop(self.handle(event)),
                Err(_) => return,
            }
        }
    }
}
