//! The supervisor's main thread: from a created container to its end.
//!
//! ```text
//!   boot VM ──> agent connects ──> create container ──> attach streams ──> (client: start) ──> running
//!      │               │                  │                                      │               │
//!      └───────────────┴── failure: state and clients told, VM killed ───────────┘   workload or VM ends
//!                                                                                                │
//!                                            output delivered, layer synced, VM gone, state written, clients told
//! ```

use std::collections::HashMap;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use holm_protocol::stream::{StreamHeader, StreamKind};
use time::OffsetDateTime;

use super::clients::{self, ControlClients};
use super::error::SupervisorError;
use super::event::{Event, EventSender};
use super::output::{self, Output};
use super::protocol::{Hello, Report, Request};
use crate::bundle;
use crate::container::{Container, ContainerId, ContainerStore, State, Status};
use crate::host::{Directories, Installation};
use crate::image::ImageStore;
use crate::sandbox::{
    AgentClient, ContainerRequest, Exit, IMAGE_DISK, Sandbox, VmShape, VmmEnd, WRITABLE_DISK, connect_stream,
};
use crate::storage;

/// How long a guest may take from power-on to its agent's call. Generous: hosts under load and emulated ones are slow.
const BOOT_TIMEOUT: Duration = Duration::from_secs(120);
/// How long to wait for the VMM's own words after the agent was lost.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs the container to its end. `listener` takes clients; it was bound by whoever started this process.
///
/// # Errors
/// What kept the workload from running; clients and the state have been told.
pub fn run(id: ContainerId, listener: UnixListener) -> Result<(), SupervisorError> {
    let directories = Directories::from_environment();
    let store = ContainerStore::new(directories);
    let container = store.open(id)?;
    let (sender, events) = mpsc::channel();
    let accepting = sender.clone();
    thread::spawn(move || clients::accept(&listener, &accepting));
    let mut supervisor = Supervisor {
        store,
        container,
        events,
        sender,
        clients: ControlClients::default(),
        stdin: None,
        outputs: HashMap::new(),
        start_asked: false,
        sandbox: None,
        agent: None,
        vm_end: None,
        exit: None,
        state: State::default(),
    };
    let result = supervisor.live();
    supervisor.end(result)
}

struct Supervisor {
    store: ContainerStore,
    container: Container,
    events: Receiver<Event>,
    sender: Sender<Event>,
    clients: ControlClients,
    stdin: Option<UnixStream>,
    outputs: HashMap<StreamKind, Output>,
    start_asked: bool,
    sandbox: Option<Sandbox>,
    agent: Option<AgentClient>,
    vm_end: Option<VmmEnd>,
    exit: Option<Result<Exit, SupervisorError>>,
    state: State,
}

impl Supervisor {
    fn live(&mut self) -> Result<Exit, SupervisorError> {
        let result = self.start_and_wait();
        // Losing the agent is a symptom: the VMM knows why.
        if let Err(SupervisorError::Agent(crate::sandbox::AgentError::Lost(_)) | SupervisorError::Stream(_)) =
            &result
        {
            self.hear_last_words();
            if let Some(end) = self.vm_end.take() {
                return Err(SupervisorError::VmEnded(end));
            }
        }
        result
    }

    fn start_and_wait(&mut self) -> Result<Exit, SupervisorError> {
        let settings = &self.container.record.settings;
        let tty = settings.tty;
        let kinds: &[StreamKind] =
            if tty { &[StreamKind::Stdout] } else { &[StreamKind::Stdout, StreamKind::Stderr] };
        self.outputs = kinds.iter().map(|kind| (*kind, Output::default())).collect();
        let image =
            ImageStore::open(self.store.directories().root())?.resolve(&self.container.record.image_id)?;
        let hostname = self.container.record.hostname(&self.container.id);
        let bundle = bundle::build(image.config(), settings, &hostname)?;
        self.boot(image.rootfs()?.segments)?;
        let connection = self.await_agent()?;
        let agent = AgentClient::new(connection, self.container.id.as_str())?;
        self.agent = Some(agent.clone());
        let open_stdin = self.container.record.settings.open_stdin;
        // Clients had the time of a boot to ask for the start, and those that run a container did.
        let start = self.start_asked;
        agent.create_container(&ContainerRequest {
            spec: &bundle.spec,
            files: &bundle.files,
            image_disk: IMAGE_DISK,
            writable_disk: WRITABLE_DISK,
            stdin: open_stdin,
            tty,
            start,
        })?;
        for kind in kinds {
            let guest = self.connect(*kind)?;
            if let Some(output) = self.outputs.get_mut(kind) {
                output.carry(guest);
            }
        }
        let stdin = if open_stdin { Some(self.connect(StreamKind::Stdin)?) } else { None };
        if !start {
            self.await_start()?;
            agent.start()?;
        }
        match (stdin, self.stdin.take()) {
            (Some(guest), Some(client)) => output::carry_input(client, guest),
            (Some(guest), None) => drop(guest.shutdown(std::net::Shutdown::Write)),
            (None, _) => {}
        }
        self.started(agent)?;
        self.await_end()
    }

    fn boot(
        &mut self,
        image_segments: Vec<holm_protocol::vm_config::SegmentConfig>,
    ) -> Result<(), SupervisorError> {
        let layer = self.container.layer();
        let installation = Installation::find()?;
        installation.check()?;
        if !layer.exists() {
            let blank = self.store.directories().blank();
            storage::create_writable_layer(&blank, &layer, storage::DEFAULT_LAYER_BYTES)?;
        }
        self.sandbox = Some(Sandbox::boot(
            &installation,
            VmShape::for_settings(&self.container.record.settings),
            image_segments,
            &layer,
            storage::DEFAULT_LAYER_BYTES,
            &self.run_directory(),
            EventSender(self.sender.clone()),
        )?);
        Ok(())
    }

    fn run_directory(&self) -> std::path::PathBuf {
        self.store.directories().run_of(self.container.id.as_str())
    }

    fn connect(&self, kind: StreamKind) -> Result<UnixStream, SupervisorError> {
        let header =
            StreamHeader { container_id: self.container.id.to_string(), process_id: String::new(), kind };
        let socket = self.sandbox.as_ref().map_or(Path::new(""), |sandbox| &sandbox.vsock_socket);
        Ok(connect_stream(socket, &header)?)
    }

    fn await_agent(&mut self) -> Result<UnixStream, SupervisorError> {
        let deadline = Instant::now() + BOOT_TIMEOUT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(Event::AgentConnected(connection)) => return Ok(connection),
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
        let sender = self.sender.clone();
        thread::spawn(move || sender.send(Event::WorkloadEnded(agent.wait())));
        self.state = State {
            status: Status::Running,
            pid: self.sandbox.as_ref().map_or(0, |sandbox| sandbox.vmm.pid()),
            supervisor_pid: std::process::id(),
            started_at: Some(OffsetDateTime::now_utc()),
            ..State::default()
        };
        self.container.write_state(&self.state)?;
        self.clients.tell(&Report::Started);
        Ok(())
    }

    fn await_end(&mut self) -> Result<Exit, SupervisorError> {
        loop {
            let event = self.events.recv().map_err(|_| SupervisorError::Abandoned)?;
            self.handle(event)?;
            if let Some(exit) = self.exit.take() {
                return exit;
            }
        }
    }

    fn handle(&mut self, event: Event) -> Result<(), SupervisorError> {
        match event {
            Event::AgentConnected(_) => {}
            Event::VmmEnded(end) => {
                self.vm_end = Some(end.clone());
                return Err(SupervisorError::VmEnded(end));
            }
            Event::Client(Hello::Control, connection) => {
                self.clients.add(connection, self.sender.clone());
                if self.state.status == Status::Running {
                    self.clients.tell(&Report::Started);
                }
            }
            Event::Client(Hello::Stdin, connection) => {
                if self.stdin.is_none() {
                    self.stdin = Some(connection);
                }
            }
            Event::Client(Hello::Stdout, connection) => self.add_reader(StreamKind::Stdout, connection),
            Event::Client(Hello::Stderr, connection) => self.add_reader(StreamKind::Stderr, connection),
            Event::Request(request) => self.obey(request),
            Event::ClientGone(number) => self.clients.remove(number),
            Event::WorkloadEnded(result) => self.exit = Some(result.map_err(Into::into)),
        }
        Ok(())
    }

    fn add_reader(&self, kind: StreamKind, connection: UnixStream) {
        if let Some(output) = self.outputs.get(&kind) {
            output.add(connection);
        }
    }

    fn obey(&mut self, request: Request) {
        let outcome = match (request, &self.agent) {
            (Request::Start, _) => {
                self.start_asked = true;
                Ok(())
            }
            (Request::Kill, _) => {
                if let Some(sandbox) = &self.sandbox {
                    sandbox.vmm.kill();
                }
                Ok(())
            }
            (Request::Signal(signal), Some(agent)) => agent.signal(signal),
            (Request::Resize { columns, rows }, Some(agent)) => agent.resize(columns, rows),
            (Request::Signal(_) | Request::Resize { .. }, None) => Ok(()),
        };
        if let Err(error) = outcome {
            // The workload may have ended meanwhile; whatever else it is, the client can do nothing about it.
            tracing::debug!(%error, ?request, "request to the agent failed");
        }
    }

    fn hear_last_words(&mut self) {
        let deadline = Instant::now() + LAST_WORDS_TIMEOUT;
        while self.vm_end.is_none() {
            match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Event::VmmEnded(end)) => self.vm_end = Some(end),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Everything after the workload, or after a failure: the order makes a crash in between harmless.
    fn end(mut self, result: Result<Exit, SupervisorError>) -> Result<(), SupervisorError> {
        let remove = self.container.record.settings.auto_remove;
        let ran = self.state.status == Status::Running;
        // A layer that is about to be deleted need not be synced.
        if !remove
            && result.is_ok()
            && let Some(agent) = &self.agent
            && let Err(error) = agent.shutdown()
        {
            tracing::warn!(%error, "the guest did not shut down in order");
        }
        if result.is_err() {
            self.kill();
        }
        for output in self.outputs.values_mut() {
            output.finish();
        }
        self.kill();
        if !remove {
            // Nobody may find the container ended while its VMM can still write to its layer.
            self.hear_last_words();
        }
        let report = match &result {
            Ok(exit) => Report::Exited { code: exit.code },
            Err(error) => Report::Failed { code: error.exit_code(), message: error.message() },
        };
        let cleaned = self.settle(&result, remove, ran);
        self.hear_last_words();
        self.clients.tell(&report);
        self.clients.close();
        cleaned?;
        result.map(|_| ())
    }

    fn kill(&self) {
        if let Some(sandbox) = &self.sandbox {
            sandbox.vmm.kill();
        }
    }

    /// Writes the final state, or removes the container.
    fn settle(
        &mut self,
        result: &Result<Exit, SupervisorError>,
        remove: bool,
        ran: bool,
    ) -> Result<(), SupervisorError> {
        // What failed before the workload ran, and is not the user's program, leaves nothing behind.
        let unmade = !ran && result.as_ref().is_err_and(|error| error.exit_code() == 125);
        if remove || unmade {
            return Ok(self.store.remove(&self.container)?);
        }
        self.state.pid = 0;
        self.state.supervisor_pid = 0;
        match result {
            Ok(exit) => {
                self.state.exit_code = exit.code.into();
                self.state.oom_killed = exit.oom_killed;
            }
            Err(error) => {
                self.state.exit_code = error.exit_code().into();
                self.state.error = error.message();
            }
        }
        self.state.status = if ran { Status::Exited } else { Status::Created };
        self.state.finished_at = ran.then(OffsetDateTime::now_utc);
        self.container.write_state(&self.state)?;
        crate::durable::remove(&self.run_directory()).map_err(|source| {
            crate::container::ContainerError::Write { path: self.run_directory(), source }
        })?;
        Ok(())
    }
}
