//! The process behind one container: its pid is the container's, its life and exit status are the workload's.
//!
//! ```text
//!   namespace ──> hooks ──> VM ──> agent calls ──> container made ──> (start) ──> running ──> workload ends ──> VM ends ──> exit
//! ```
//!
//! It is a child of `create`, so that whoever is the reaper there (conmon, a shim) adopts it and waits for it. Its standard streams
//! are those that `create` had.
//!
//! Threads: the first one only shows the container's root to those who look at the process; another decides; one accepts requests and one takes signals, each request that may take long has one, and each
//! stream. They tell the main one through a channel.

use std::collections::VecDeque;
use std::io::BufReader;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use holm_protocol::agent::NAMES_PORT;
use nix::libc::{SIGHUP, SIGKILL, SIGWINCH};
use oci_spec::runtime::LinuxResources;

use super::bundle::{Bundle, leave_to_the_host};
use super::cgroup;
use super::console::open_console;
use super::create::SuperviseWords;
use super::error::OciError;
use super::handover::take_over;
use super::hooks;
use super::namespaces::show_root;
use super::protocol::{Report, Request};
use super::record::{Record, Status};
use super::resolver;
use super::signals;
use super::stdio::{Carriers, Ends, leave_inherited};
use super::store::{OciContainer, Store};
use super::update::check_room;
use crate::durable;
use crate::host::{Directories, Installation};
use crate::network::{NameService, Resolver, carry_prepared};
use crate::sandbox::{
    AgentClient, AgentError, BootEvents, ContainerRequest, Exit, GuestRoot, HostAccess, ProcessRequest,
    Sandbox, VmmEnd,
};
use crate::supervisor::protocol::{receive, send};
use crate::supervisor::settle_template;
use crate::template::TemplateStore;

/// How long a guest may take from power-on to its agent's call.
const BOOT_TIMEOUT: Duration = Duration::from_secs(120);
/// How long SIGKILL may take in the guest before the VM is ended.
const KILL_TIMEOUT: Duration = Duration::from_millis(1000);
/// How long a VMM that was killed may take to be gone: nothing of the root file system is in use then.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(10);
/// What a shell sees of a process that SIGKILL ended: the workload, when its VM did.
const KILLED: u8 = 128 + 9;

/// Something happened.
#[derive(Debug)]
enum Event {
    AgentConnected(UnixStream),
    VmmEnded(VmmEnd),
    WorkloadEnded(Result<Exit, AgentError>),
    /// All of its output was written.
    Delivered,
    Asked(Box<Request>, UnixStream),
    Signal(i32),
}

/// Tells the main thread of the VM.
#[derive(Clone)]
struct EventSender(Sender<Event>);

impl BootEvents for EventSender {
    fn agent_connected(&self, connection: UnixStream) {
        // A closed channel means that the supervisor is past caring.
        let _ = self.0.send(Event::AgentConnected(connection));
    }

    fn vmm_ended(&self, end: VmmEnd) {
        let _ = self.0.send(Event::VmmEnded(end));
    }
}

struct Supervisor {
    container: OciContainer,
    record: Record,
    events: Receiver<Event>,
    sender: Sender<Event>,
    /// What came while the container was made.
    waiting: VecDeque<Event>,
    sandbox: Option<Sandbox>,
    vmm_end: Option<VmmEnd>,
    /// Answers the guest's questions about names, if the engine has a resolver.
    names: Option<NameService>,
    /// When the VM is ended, whatever the workload does.
    kill_at: Option<Instant>,
}

/// A container that was made.
struct Made {
    bundle: Bundle,
    agent: AgentClient,
    ends: Ends,
    carriers: Carriers,
}

/// Runs a container to its end; gives the exit status that this process is to have. `words` are what `create` put on the command
/// line.
///
/// # Errors
/// What kept the container from being made; whoever asked for it was told.
pub fn supervise(words: &str) -> Result<u8, OciError> {
    let words: SuperviseWords = serde_json::from_str(words)
        .map_err(|_| OciError::Refused("a supervisor is started by the other verbs only".to_owned()))?;
    let what = "cannot use what the supervisor was started with";
    let take = |number| take_over(number).map_err(OciError::system(what));
    // Held for as long as this process lives.
    let _lock = take(words.lock)?;
    let (listener, report) =
        (UnixListener::from(take(words.listener)?), UnixStream::from(take(words.report)?));
    let container = Store::at(words.root.clone()).find(words.id.parse()?)?;
    let (sender, events) = mpsc::channel();
    let mut supervisor = Supervisor {
        record: container.record()?,
        container,
        events,
        sender,
        waiting: VecDeque::new(),
        sandbox: None,
        vmm_end: None,
        names: None,
        kill_at: None,
    };
    let bundle = match supervisor.enter() {
        Ok(bundle) => bundle,
        Err(error) => {
            // One whose `create` was killed ends, too.
            let _ = send(&report, &Report::Failed { message: error.message() });
            return Err(error);
        }
    };
    // All that is done from now on is done by another thread, in the mount namespace of the host. This one, by which others see the
    // process, gets one that shows the container's root.
    let (view, viewed) = mpsc::channel();
    let shown = bundle.clone();
    let living = thread::spawn(move || supervisor.live(&words, bundle, listener, report, &view));
    if let Ok(done) = viewed.recv() {
        // Who asked waits for the answer.
        let _ = done.send(show_root(&shown));
    }
    living.join().unwrap_or(Err(OciError::Died))
}

impl Supervisor {
    /// The container's life.
    fn live(
        mut self,
        words: &SuperviseWords,
        bundle: Bundle,
        listener: UnixListener,
        report: UnixStream,
        view: &Sender<Sender<Result<(), OciError>>>,
    ) -> Result<u8, OciError> {
        let made = self.make(words, bundle, listener, view);
        let answer = match &made {
            Ok(_) => Report::Done,
            Err(error) => Report::Failed { message: error.message() },
        };
        // Nobody has a container whose `create` was killed: it ends.
        let heard = send(&report, &answer).is_ok();
        drop(report);
        match made {
            Ok(made) if heard => Ok(self.run(made)),
            Ok(_) => {
                self.end_vm();
                Err(OciError::Died)
            }
            Err(error) => {
                self.end_vm();
                Err(error)
            }
        }
    }

    fn write(&mut self, status: Status) -> Result<(), OciError> {
        self.record.status = status;
        self.container.write(&self.record)
    }

    /// Makes this process what engines take for the container's: in its session, cgroup and network namespace. Threads that are made
    /// from now on are in them, too.
    fn enter(&mut self) -> Result<Bundle, OciError> {
        // A session of its own, for a terminal of its own. One who leads a group already has been given one.
        let _ = nix::unistd::setsid();
        signals::block().map_err(OciError::system("cannot block signals"))?;
        let bundle = Bundle::load(&self.record.bundle)?;
        // Wherever it was started, it keeps no file system from being unmounted.
        std::env::set_current_dir("/").map_err(OciError::system("cannot change to /"))?;
        self.record.pid = std::process::id();
        self.write(Status::Creating)?;
        if let Some(place) = &self.record.cgroup {
            cgroup::enter(place, bundle.resources(), bundle.shape())?;
        }
        bundle.network().enter()?;
        Ok(bundle)
    }

    fn make(
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
        let installation = Installation::find()?;
        installation.check()?;
        let guest = bundle.for_guest()?;
        let directories = Directories::from_environment();
        let templates = TemplateStore::new(&directories);
        let resolver = resolver::of(bundle.spec.mounts().as_deref().unwrap_or_default());
        let (networks, interfaces): (Vec<_>, Vec<_>) = carry_prepared(resolver)?.into_iter().unzip();
        let mut host = HostAccess {
            networks,
            shares: guest.shares.configs,
            sockets: guest.shares.sockets,
            ..HostAccess::default()
        };
        let serve_names = resolver == Resolver::InNamespace;
        if serve_names {
            let socket = self.container.sockets().join("vsock-names");
            self.names = Some(resolver::serve(&socket).map_err(OciError::system("cannot answer for names"))?);
            host.sockets.push((NAMES_PORT, socket));
        }
        let sandbox = self.sandbox.insert(Sandbox::boot(
            &installation,
            Some(&templates),
            bundle.shape(),
            Vec::new(),
            Vec::new(),
            host,
            &self.container.sockets(),
            EventSender(self.sender.clone()),
        )?);
        let (vsock, told) = (sandbox.vsock_socket.clone(), sandbox.told.clone());
        let name = self.container.name();
        let agent = AgentClient::new(self.await_agent()?, &name)?;
        if let Some(sandbox) = &self.sandbox {
            settle_template(templates, sandbox, &agent);
        }
        let asked = ends.ask(&vsock, &name, "")?;
        agent.create_container(&ContainerRequest {
            spec: &guest.spec,
            files: &[],
            interfaces: &interfaces,
            serve_names,
            root: GuestRoot::Directory(&guest.root),
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

    /// From a container that was made to the end of its VM.
    fn run(mut self, made: Made) -> u8 {
        let ended = self.await_end(&made);
        if ended.is_none() {
            // A VM that does not answer writes nothing more.
            self.end_vm();
        }
        self.await_delivery(made.carriers);
        if ended.is_some() && self.vmm_end.is_none() {
            // What the guest has yet to write to the root file system and its other mounts.
            if let Err(error) = made.agent.shutdown() {
                tracing::warn!(%error, "the guest did not shut down in order");
            }
        }
        self.end_vm();
        ended.unwrap_or(KILLED)
    }

    /// What happens next; `None` when the workload was killed and its time is up.
    fn next(&mut self) -> Option<Event> {
        match (self.waiting.pop_front(), self.kill_at) {
            (Some(event), _) => Some(event),
            (None, None) => self.events.recv().ok(),
            (None, Some(at)) => self.events.recv_timeout(at.saturating_duration_since(Instant::now())).ok(),
        }
    }

    /// Waits until all that came from the guest was written. Nobody may be reading it: SIGKILL gives it up.
    fn await_delivery(&mut self, carriers: Carriers) {
        let sender = self.sender.clone();
        thread::spawn(move || {
            carriers.drain();
            sender.send(Event::Delivered)
        });
        let soon = || Instant::now() + KILL_TIMEOUT;
        self.kill_at = self.kill_at.map(|_| soon());
        while let Some(event) = self.next() {
            match event {
                Event::Delivered => return,
                Event::VmmEnded(end) => self.vmm_end = Some(end),
                Event::Asked(request, client) => {
                    if matches!(*request, Request::Signal { signal: SIGKILL, .. }) {
                        self.kill_at.get_or_insert_with(soon);
                        report(&client, Ok(Report::Done));
                    } else {
                        report(&client, Err::<Report, _>(OciError::NotRunning));
                    }
                }
                _ => {}
            }
        }
        tracing::warn!("nobody reads what the container wrote: the rest of it is lost");
    }

    /// The workload's exit code; `None` when it was lost, or had to be, with its VM.
    fn await_end(&mut self, made: &Made) -> Option<u8> {
        while let Some(event) = self.next() {
            match event {
                Event::WorkloadEnded(Ok(exit)) => {
                    if exit.oom_killed {
                        self.tell_of_oom();
                    }
                    return Some(exit.code);
                }
                Event::WorkloadEnded(Err(error)) => {
                    self.await_vmm_end(KILL_TIMEOUT);
                    tracing::warn!(%error, vm = ?self.vmm_end, "the workload is lost");
                    return None;
                }
                Event::VmmEnded(end) => {
                    // Its output is complete as far as it came.
                    tracing::warn!(reason = end.reason, "the VM ended");
                    self.vmm_end = Some(end);
                    return None;
                }
                Event::AgentConnected(_) | Event::Delivered => {}
                Event::Signal(SIGWINCH) => {
                    if let Some((columns, rows)) = made.ends.size() {
                        let agent = made.agent.clone();
                        thread::spawn(move || agent.resize_process("", columns, rows));
                    }
                }
                Event::Signal(signal) => {
                    let agent = made.agent.clone();
                    thread::spawn(move || agent.signal_process("", signal));
                }
                Event::Asked(request, client) => self.answer(made, *request, client),
            }
        }
        None
    }

    /// For those who look when it has stopped.
    fn tell_of_oom(&mut self) {
        self.record.oom_killed = true;
        if let Err(error) = self.container.write(&self.record) {
            tracing::warn!(%error, "cannot say that memory ran out");
        }
    }

    fn answer(&mut self, made: &Made, request: Request, client: UnixStream) {
        let agent = made.agent.clone();
        match request {
            Request::Start => self.start(made, &client),
            Request::Pause | Request::Resume => {
                let is_pause = request == Request::Pause;
                let done = if is_pause { agent.freeze() } else { agent.thaw() };
                let status = if is_pause { Status::Paused } else { Status::Running };
                let done = done.map_err(OciError::from).and_then(|()| self.write(status));
                report(&client, done.map(|()| Report::Done));
            }
            Request::Signal { process, signal, all } => {
                if signal == SIGKILL && process.is_empty() {
                    self.kill_at.get_or_insert_with(|| Instant::now() + KILL_TIMEOUT);
                }
                in_thread(client, move |_| {
                    let sent = if all {
                        agent.signal_container(signal)
                    } else {
                        agent.signal_process(&process, signal)
                    };
                    // The VM is ended when its agent does not listen.
                    if signal == SIGKILL { Ok(Report::Done) } else { sent.map(|()| Report::Done) }
                });
            }
            Request::Execute { process, spec, stdin } => in_thread(client, move |_| {
                let tty = spec.terminal().unwrap_or(false);
                let request = ProcessRequest { id: &process, process: &spec, stdin, outputs: true, tty };
                agent.create_process(&request).map(|()| Report::Done)
            }),
            Request::StartProcess { process } => {
                in_thread(client, move |_| agent.start_process(&process).map(|()| Report::Done));
            }
            Request::Wait { process } => in_thread(client, move |client| {
                kill_when_gone(client, agent.clone(), process.clone());
                agent.wait_process(&process).map(|exit| Report::Exited { code: exit.code })
            }),
            Request::Resize { process, columns, rows } => in_thread(client, move |_| {
                agent.resize_process(&process, columns, rows).map(|()| Report::Done)
            }),
            Request::Processes => in_thread(client, move |_| agent.processes().map(Report::Processes)),
            Request::Usage => in_thread(client, move |_| agent.usage().map(Report::Usage)),
            Request::Update(change) => {
                report(&client, self.update(made, *change).map(|()| Report::Done));
            }
        }
    }

    fn start(&mut self, made: &Made, client: &UnixStream) {
        if self.record.status != Status::Created {
            let error = OciError::State { verb: "start", status: self.record.status };
            return report(client, Err::<Report, _>(error));
        }
        let started = made.agent.start_process("").map_err(OciError::from);
        let started = started.and_then(|()| self.write(Status::Running));
        if started.is_ok() {
            let state = self.record.state(Status::Running);
            // It runs whatever they say.
            if let Err(error) = hooks::run("poststart", made.bundle.hooks(|hooks| hooks.poststart()), &state)
            {
                tracing::warn!(error = error.message(), "a hook failed");
            }
        }
        report(client, started.map(|()| Report::Done));
    }

    /// Limits the workload in the guest, and the VM on the host.
    fn update(&self, made: &Made, mut change: LinuxResources) -> Result<(), OciError> {
        let shape = made.bundle.shape();
        check_room(&change, shape)?;
        let hosts = change.clone();
        leave_to_the_host(&mut change);
        made.agent.update_container(&change)?;
        self.record.cgroup.as_ref().map_or(Ok(()), |place| cgroup::set_limits(place, &hosts, shape))
    }

    /// Ends the VM and waits until nothing of the host's files is in use.
    fn end_vm(&mut self) {
        if let Some(sandbox) = &self.sandbox {
            sandbox.vmm.kill();
            self.await_vmm_end(LAST_WORDS_TIMEOUT);
        }
        let sockets = self.container.sockets();
        if let Err(error) = durable::remove(&sockets) {
            tracing::warn!(%error, "cannot remove {}", sockets.display());
        }
    }

    fn await_vmm_end(&mut self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while self.sandbox.is_some() && self.vmm_end.is_none() {
            match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Event::VmmEnded(end)) => self.vmm_end = Some(end),
                // Those who ask are turned away.
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }
}

/// Does what may take long; it is answered with what becomes of it.
fn in_thread(
    client: UnixStream,
    work: impl FnOnce(&UnixStream) -> Result<Report, AgentError> + Send + 'static,
) {
    thread::spawn(move || {
        let done = work(&client);
        report(&client, done.map_err(OciError::from));
    });
}

fn report(client: &UnixStream, done: Result<Report, OciError>) {
    let answer = done.unwrap_or_else(|error| Report::Failed { message: error.message() });
    // Who went away need not be told.
    let _ = send(client, &answer);
}

/// Whoever waits for a process stands for it on the host: when it is gone, so is the process. Killing one that has ended does
/// nothing.
fn kill_when_gone(client: &UnixStream, agent: AgentClient, process: String) {
    let Ok(reading) = client.try_clone() else { return };
    thread::spawn(move || {
        while let Ok(Some(())) = receive::<()>(&mut BufReader::new(&reading)) {}
        let _ = agent.signal_process(&process, SIGKILL);
    });
}
