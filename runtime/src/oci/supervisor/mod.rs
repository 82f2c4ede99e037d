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

mod answer;
mod life;
mod make;
mod start;

use std::collections::VecDeque;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use self::start::Start;
use crate::durable;
use crate::network::NameService;
use crate::oci::bundle::{Bundle, GuestBundle};
use crate::oci::create::SuperviseWords;
use crate::oci::error::OciError;
use crate::oci::handover::take_over;
use crate::oci::namespaces::{NetworkNamespace, show_root};
use crate::oci::pod::{JoinRequest, Lease, Pod};
use crate::oci::protocol::{Report, Request};
use crate::oci::record::{Record, Status};
use crate::oci::role::Role;
use crate::oci::stdio::{Carriers, Ends};
use crate::oci::store::{OciContainer, Store};
use crate::oci::{cgroup, signals};
use crate::sandbox::{AgentClient, AgentError, BootEvents, Exit, GuestInterface, Sandbox, Told, VmmEnd};
use crate::supervisor::protocol::send;

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
    /// The program was executed, for who asked for it.
    Executed(Result<(), AgentError>, UnixStream),
    /// The hooks after that have ended.
    Started(Result<(), OciError>, UnixStream),
    /// All of its output was written.
    Delivered,
    /// All else that the guest has was written.
    ShutDown,
    Asked(Box<Request>, UnixStream),
    Signal(i32),
    /// A container of this name is gone from the VM.
    Left(String),
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
    start: Start,
    /// Answers the guest's questions about names, if the engine has a resolver.
    names: Option<NameService>,
    /// The other containers of its VM.
    pod: Option<Pod>,
    /// Its place in the VM of another container, instead of a VM of its own.
    lease: Option<Lease>,
    /// Who asked for a place that one of the same name has yet to leave.
    joining: Vec<(Box<JoinRequest>, UnixStream)>,
    /// When the VM is ended, whatever the workload does.
    kill_at: Option<Instant>,
}

/// A VM for a container.
struct Vm {
    guest: GuestBundle,
    agent: AgentClient,
    vsock: PathBuf,
    told: Told,
    interfaces: Vec<GuestInterface>,
    serve_names: bool,
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
        start: Start::default(),
        names: None,
        pod: None,
        lease: None,
        joining: Vec::new(),
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
        let bundle = Bundle::load_on(&self.record.bundle, self.record.root_device.as_ref())?;
        // Wherever it was started, it keeps no file system from being unmounted.
        std::env::set_current_dir("/").map_err(OciError::system("cannot change to /"))?;
        self.record.pid = std::process::id();
        self.write(Status::Creating)?;
        if let Some(place) = &self.record.cgroup {
            let role = &self.record.role;
            cgroup::enter(place, bundle.hosts_resources(role), bundle.shape(role))?;
        }
        match &self.record.role {
            Role::Alone | Role::Sandbox => bundle.network().enter()?,
            Role::Member(sandbox) => {
                let pid = sandbox.find()?.record()?.pid;
                NetworkNamespace::Join(format!("/proc/{pid}/ns/net").into()).enter()?;
            }
        }
        Ok(bundle)
    }

    /// Ends the VM, or the container's place in another's, and waits until nothing of the host's files is in use.
    fn end_vm(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.end();
        }
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
