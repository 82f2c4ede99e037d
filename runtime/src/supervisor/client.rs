//! The command line's side: starts a supervisor, or reaches the one that runs.

use std::ffi::OsStr;
use std::io::{self, BufReader};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use holm_protocol::stream::StreamKind;
use procfs::process::all_processes;
use rustix::process::{Pid, Signal, kill_process};

use super::protocol::{self, CheckpointRequest, Hello, Report, Request};
use crate::bundle::ExecRequest;
use crate::checkpoint::CheckpointPlace;
use crate::container::settings::NetworkConnection;
use crate::container::{Container, ContainerLock};
use crate::durable;
use crate::host::{Directories, DirectoriesError, Installation, create_private_directory, small_stacks};
use crate::sandbox::keep_others;

/// A control connection to a supervisor.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    /// Empty for the workload.
    process: String,
    control: UnixStream,
    reports: BufReader<UnixStream>,
}

/// Why a supervisor could not be started or reached.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Its directory could not be made.
    #[error(transparent)]
    Directory(#[from] DirectoriesError),
    /// Its socket could not be made or reached.
    #[error("cannot use {}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The process could not be started.
    #[error("cannot start the supervisor {}", path.display())]
    Start {
        /// The program.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It, or the guest, does not do what was asked.
    #[error("{0}")]
    Refused(String),
    /// It goes on though it was killed: the kernel has it in a system call that does not end.
    #[error("the container's supervisor cannot be killed; a disk of the host may hang")]
    Unkillable,
    /// It went away without a last word.
    #[error("the container's supervisor died")]
    Died,
}

impl ClientError {
    /// Whether a connection failed because the supervisor is at its end. One that is open gives its last word.
    #[must_use]
    pub fn is_of_one_that_ends(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotFound};
        match self {
            Self::Died => true,
            Self::Socket { source, .. } => {
                matches!(source.kind(), NotFound | ConnectionRefused | ConnectionReset | BrokenPipe)
            }
            _ => false,
        }
    }
}

/// The hidden verb of `holm` that runs a supervisor.
pub const SUPERVISE_VERB: &str = "supervise";

/// Makes it serve the files of a container that does not run.
pub const FILES_FLAG: &str = "--files";

/// Makes it go on from the checkpoint whose name follows, and the directory behind it, if it is not with its container.
pub const CHECKPOINT_FLAG: &str = "--checkpoint";

pub(super) fn socket_path(directories: &Directories, container: &Container) -> PathBuf {
    directories.run_of(container.id.as_str()).join("control")
}

/// The socket of a supervisor that serves files only: no verb takes it for a running container's.
pub(super) fn files_socket_path(directories: &Directories, container: &Container) -> PathBuf {
    directories.run_of(container.id.as_str()).join("files")
}

impl Client {
    /// Starts the supervisor of a container and connects to it; the container goes on from a `checkpoint`, if there is one to go on
    /// from. It takes over the listening socket as its standard input, so
    /// there is nothing to wait for, and the container's lock as its standard output, to hold it for as long as it lives.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(
        installation: &Installation,
        directories: &Directories,
        container: &Container,
        lock: ContainerLock,
        checkpoint: Option<&CheckpointPlace>,
    ) -> Result<Self, ClientError> {
        let socket = socket_path(directories, container);
        let mut flags: Vec<&OsStr> = Vec::new();
        if let Some(CheckpointPlace { name, directory }) = checkpoint {
            flags.extend([CHECKPOINT_FLAG, name.as_str()].map(OsStr::new));
            flags.extend(directory.iter().map(|directory| directory.as_os_str()));
        }
        Self::spawn_at(socket, &flags, installation, directories, container, lock)
    }

    pub(super) fn spawn_at(
        socket: PathBuf,
        flags: &[&OsStr],
        installation: &Installation,
        directories: &Directories,
        container: &Container,
        lock: ContainerLock,
    ) -> Result<Self, ClientError> {
        let directory = directories.run_of(container.id.as_str());
        let failed = |source| ClientError::Socket { path: socket.clone(), source };
        // What a supervisor that was killed left: with the lock in our hands there is none.
        holm_faults::fault!("client.run-directory.clear")
            .and_then(|()| durable::remove(&directory))
            .map_err(failed)?;
        create_private_directory(&directory)?;
        let listener = holm_faults::fault!("client.socket.bind")
            .and_then(|()| UnixListener::bind(&socket))
            .map_err(failed)?;
        // Before it runs: whatever ends it at once, the reason reaches this connection.
        let client = Self::connect_to(socket, &Hello::Control)?;
        holm_faults::crash!("client.connected");
        holm_faults::fault!("client.supervisor.spawn")
            .map_err(|source| ClientError::Start { path: installation.holm.clone(), source })?;
        // A supervisor lives longer than whoever waits for the end of a pipe that this process was started with.
        keep_others();
        let child = small_stacks(&mut Command::new(&installation.holm))
            .args([SUPERVISE_VERB, container.id.as_str()])
            .args(flags)
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(listener)))
            .stdout(lock.into_stdio())
            .stderr(Stdio::null())
            // Ctrl-C at the terminal is the command line's to hear.
            .process_group(0)
            .spawn()
            .map_err(|source| ClientError::Start { path: installation.holm.clone(), source })?;
        holm_faults::crash!("client.supervisor.spawned");
        // It outlives this process; whoever adopts it reaps it.
        drop(child);
        Ok(client)
    }

    /// Connects to the supervisor of a running container.
    ///
    /// # Errors
    /// When there is none.
    pub fn connect(directories: &Directories, container: &Container) -> Result<Self, ClientError> {
        Self::connect_to(socket_path(directories, container), &Hello::Control)
    }

    /// Asks for one more process in a running container. It starts when the streams that it asks for are attached;
    /// requests and reports of this connection are about it.
    ///
    /// # Errors
    /// When the container does not run.
    pub fn execute(
        directories: &Directories,
        container: &Container,
        request: ExecRequest,
    ) -> Result<Self, ClientError> {
        let process = request.id.clone();
        let hello = Hello::Exec(Box::new(request));
        Ok(Self { process, ..Self::connect_to(socket_path(directories, container), &hello)? })
    }

    /// Asks the supervisor of a running container for one thing and waits until it is done.
    fn once(directories: &Directories, container: &Container, hello: &Hello) -> Result<(), ClientError> {
        match Self::connect_to(socket_path(directories, container), hello)?.next_report()? {
            Report::Done => Ok(()),
            Report::Refused { message } | Report::Failed { message, .. } => {
                Err(ClientError::Refused(message))
            }
            _ => Err(ClientError::Died),
        }
    }

    /// Puts a running container on one more network.
    ///
    /// # Errors
    /// What its supervisor says; nothing has changed then.
    pub fn connect_network(
        directories: &Directories,
        container: &Container,
        connection: &NetworkConnection,
    ) -> Result<(), ClientError> {
        Self::once(directories, container, &Hello::Connect(Box::new(connection.clone())))
    }

    /// Takes a running container off a network.
    ///
    /// # Errors
    /// What its supervisor says.
    pub fn disconnect_network(
        directories: &Directories,
        container: &Container,
        network: &str,
    ) -> Result<(), ClientError> {
        Self::once(directories, container, &Hello::Disconnect { network: network.to_owned() })
    }

    /// Saves a running container.
    ///
    /// # Errors
    /// What its supervisor says; the container runs on then.
    pub fn checkpoint(
        directories: &Directories,
        container: &Container,
        request: CheckpointRequest,
    ) -> Result<(), ClientError> {
        Self::once(directories, container, &Hello::Checkpoint(Box::new(request)))
    }

    pub(super) fn connect_to(socket: PathBuf, hello: &Hello) -> Result<Self, ClientError> {
        let control = say_hello(&socket, hello)?;
        let reading =
            control.try_clone().map_err(|source| ClientError::Socket { path: socket.clone(), source })?;
        Ok(Self { socket, process: String::new(), control, reports: BufReader::new(reading) })
    }

    /// Connects one of the process's streams.
    ///
    /// # Errors
    /// When the supervisor is gone.
    pub fn attach(&self, kind: StreamKind) -> Result<UnixStream, ClientError> {
        say_hello(&self.socket, &Hello::stream(kind, &self.process))
    }

    /// A handle for requests, for use beside [`Client::next_report`].
    ///
    /// # Errors
    /// When the connection cannot be shared.
    pub fn requests(&self) -> Result<Requests, ClientError> {
        let control = self.control.try_clone();
        control
            .map(|control| Requests(Arc::new(control)))
            .map_err(|source| ClientError::Socket { path: self.socket.clone(), source })
    }

    /// The next thing that the supervisor tells.
    ///
    /// # Errors
    /// When it died.
    pub fn next_report(&mut self) -> Result<Report, ClientError> {
        protocol::receive(&mut self.reports).ok().flatten().ok_or(ClientError::Died)
    }
}

/// Between two looks at a lock.
const LOCK_PAUSE: Duration = Duration::from_millis(2);
/// How long a supervisor may take to end its container when that is demanded.
const END_TIMEOUT: Duration = Duration::from_millis(1500);
/// How long the kernel may take to end a killed supervisor.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

impl Client {
    /// Ends the container without ado and waits until its supervisor is gone: it is asked, and killed when it does not go
    /// in time (the kernel then kills its VMM).
    ///
    /// # Errors
    /// When the connection cannot be used, or not even SIGKILL ends the supervisor.
    pub fn end(mut self, container: &Container) -> Result<(), ClientError> {
        let deadline = Instant::now() + END_TIMEOUT;
        // One that is gone needs no asking.
        let _ = self.requests()?.send(Request::Kill);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.control
                .set_read_timeout(Some(left))
                .map_err(|source| ClientError::Socket { path: self.socket.clone(), source })?;
            // Hung up, or out of patience.
            if self.next_report().is_err() {
                break;
            }
        }
        if is_gone(container, deadline) {
            return Ok(());
        }
        kill_supervisor(container);
        if is_gone(container, Instant::now() + KILL_TIMEOUT) { Ok(()) } else { Err(ClientError::Unkillable) }
    }
}

/// Whether the supervisor is gone before the deadline. Only the lock says so: a process at its end hangs up earlier, and
/// a killed one goes on until the kernel has taken it apart.
fn is_gone(container: &Container, deadline: Instant) -> bool {
    while matches!(container.try_lock(), Ok(None)) {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(LOCK_PAUSE);
    }
    true
}

/// Kills whatever runs as the supervisor of this container: its id stands on its command line.
fn kill_supervisor(container: &Container) {
    for process in all_processes().into_iter().flatten().flatten() {
        let words = process.cmdline().unwrap_or_default();
        if words.get(1..3).is_some_and(|words| words == [SUPERVISE_VERB, container.id.as_str()])
            && let Some(pid) = Pid::from_raw(process.pid())
        {
            // One that ended meanwhile is what was wanted.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Sends requests to a supervisor. Clones share the connection.
#[derive(Clone, Debug)]
pub struct Requests(Arc<UnixStream>);

impl Requests {
    /// Ends the connection: reports end too.
    pub fn hang_up(&self) {
        // A supervisor that is gone has hung up itself.
        let _ = self.0.shutdown(Shutdown::Both);
    }

    /// Sends one.
    ///
    /// # Errors
    /// When the supervisor is gone.
    pub fn send(&self, request: Request) -> Result<(), ClientError> {
        protocol::send(&*self.0, &request).map_err(|_| ClientError::Died)
    }
}

pub(super) fn say_hello(socket: &Path, hello: &Hello) -> Result<UnixStream, ClientError> {
    let failed = |source| ClientError::Socket { path: socket.to_owned(), source };
    let connection = UnixStream::connect(socket).map_err(failed)?;
    protocol::send(&connection, hello).map_err(failed)?;
    Ok(connection)
}
