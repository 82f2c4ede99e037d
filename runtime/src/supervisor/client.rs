//! The command line's side: starts a supervisor, or reaches the one that runs.

use std::io::{self, BufReader};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use holm_protocol::stream::StreamKind;

use super::protocol::{self, Hello, Report, Request};
use crate::container::ContainerId;
use crate::host::{Directories, DirectoriesError, Installation, create_private_directory};

/// A control connection to a supervisor.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
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
    /// It went away without a last word.
    #[error("the container's supervisor died")]
    Died,
}

/// The hidden verb of `holm` that runs a supervisor.
pub const SUPERVISE_VERB: &str = "supervise";

fn socket_path(directories: &Directories, id: &ContainerId) -> PathBuf {
    directories.run_of(id.as_str()).join("control")
}

impl Client {
    /// Starts the supervisor of a created container and connects to it. It takes over the listening socket as its
    /// standard input, so there is nothing to wait for.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(
        installation: &Installation,
        directories: &Directories,
        id: &ContainerId,
    ) -> Result<Self, ClientError> {
        create_private_directory(&directories.run_of(id.as_str()))?;
        let socket = socket_path(directories, id);
        let failed = |source| ClientError::Socket { path: socket.clone(), source };
        let listener = UnixListener::bind(&socket).map_err(failed)?;
        let child = Command::new(&installation.holm)
            .args([SUPERVISE_VERB, id.as_str()])
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(listener)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            // Ctrl-C at the terminal is the command line's to hear.
            .process_group(0)
            .spawn()
            .map_err(|source| ClientError::Start { path: installation.holm.clone(), source })?;
        // It outlives this process; whoever adopts it reaps it.
        drop(child);
        Self::connect_to(socket)
    }

    /// Connects to the supervisor of a running container.
    ///
    /// # Errors
    /// When there is none.
    pub fn connect(directories: &Directories, id: &ContainerId) -> Result<Self, ClientError> {
        Self::connect_to(socket_path(directories, id))
    }

    fn connect_to(socket: PathBuf) -> Result<Self, ClientError> {
        let control = say_hello(&socket, Hello::Control)?;
        let reading =
            control.try_clone().map_err(|source| ClientError::Socket { path: socket.clone(), source })?;
        Ok(Self { socket, control, reports: BufReader::new(reading) })
    }

    /// Connects one of the workload's streams.
    ///
    /// # Errors
    /// When the supervisor is gone.
    pub fn attach(&self, kind: StreamKind) -> Result<UnixStream, ClientError> {
        say_hello(&self.socket, kind.into())
    }

    /// A handle for requests, for use beside [`Client::next_report`].
    ///
    /// # Errors
    /// When the connection cannot be shared.
    pub fn requests(&self) -> Result<Requests, ClientError> {
        let control = self.control.try_clone();
        control.map(Requests).map_err(|source| ClientError::Socket { path: self.socket.clone(), source })
    }

    /// The next thing that the supervisor tells.
    ///
    /// # Errors
    /// When it died.
    pub fn next_report(&mut self) -> Result<Report, ClientError> {
        protocol::receive(&mut self.reports).ok().flatten().ok_or(ClientError::Died)
    }
}

/// Sends requests to a supervisor.
#[derive(Debug)]
pub struct Requests(UnixStream);

impl Requests {
    /// Sends one.
    ///
    /// # Errors
    /// When the supervisor is gone.
    pub fn send(&self, request: Request) -> Result<(), ClientError> {
        protocol::send(&self.0, &request).map_err(|_| ClientError::Died)
    }
}

fn say_hello(socket: &Path, hello: Hello) -> Result<UnixStream, ClientError> {
    let failed = |source| ClientError::Socket { path: socket.to_owned(), source };
    let connection = UnixStream::connect(socket).map_err(failed)?;
    protocol::send(&connection, &hello).map_err(failed)?;
    Ok(connection)
}
