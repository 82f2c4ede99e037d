//! A verb's side of a conversation with a container's supervisor.

use std::io::{self, BufReader};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::libc::SIGKILL;
use oci_spec::runtime::LinuxResources;

use super::error::OciError;
use super::protocol::{Report, Request};
use super::record::Status;
use super::store::OciContainer;
use crate::sandbox::{ProcessUsage, Usage};
use crate::supervisor::protocol::{receive, send};

/// How long a supervisor may take to answer to SIGKILL: it gives its guest less, and then ends the VM.
const KILL_TIMEOUT: Duration = Duration::from_millis(1500);

/// Asks the supervisor of one container.
#[derive(Clone, Debug)]
pub struct Client<'a> {
    container: &'a OciContainer,
}

impl<'a> Client<'a> {
    /// About this container.
    #[must_use]
    pub fn of(container: &'a OciContainer) -> Self {
        Self { container }
    }

    /// Executes the container's program.
    ///
    /// # Errors
    /// It was started before, or cannot be executed.
    pub fn start(&self) -> Result<(), OciError> {
        match self.container.state()?.status {
            Status::Created => self.do_(&Request::Start),
            status => Err(OciError::State { verb: "start", status }),
        }
    }

    /// Sends a signal to the container's process, or to all of its processes. SIGKILL ends a supervisor that does not answer, and its VM
    /// with it.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&self, signal: i32, all: bool) -> Result<(), OciError> {
        let request = Request::Signal { process: String::new(), signal, all };
        if signal != SIGKILL {
            return self.do_(&request);
        }
        match self.ask_within(&request, Some(KILL_TIMEOUT))? {
            Some(Report::Done) => Ok(()),
            Some(other) => Err(unexpected(other)),
            None => {
                tracing::warn!("the container's supervisor does not answer: it is killed");
                self.container.kill_supervisor(self.container.record()?.pid);
                Ok(())
            }
        }
    }

    /// Sends a signal to a process that was executed beside the container's own, by its name.
    ///
    /// # Errors
    /// It does not run.
    pub fn signal_process(&self, process: &str, signal: i32) -> Result<(), OciError> {
        self.do_(&Request::Signal { process: process.to_owned(), signal, all: false })
    }

    /// Gives the terminal of a process another size, in characters. The container's own has an empty name.
    ///
    /// # Errors
    /// It does not run, or has no terminal.
    pub fn resize(&self, process: &str, columns: u16, rows: u16) -> Result<(), OciError> {
        self.do_(&Request::Resize { process: process.to_owned(), columns, rows })
    }

    /// Stops all processes.
    ///
    /// # Errors
    /// It does not run.
    pub fn pause(&self) -> Result<(), OciError> {
        match self.container.state()?.status {
            Status::Created | Status::Running => self.do_(&Request::Pause),
            status => Err(OciError::State { verb: "pause", status }),
        }
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// It was not paused.
    pub fn resume(&self) -> Result<(), OciError> {
        match self.container.state()?.status {
            Status::Paused => self.do_(&Request::Resume),
            status => Err(OciError::State { verb: "resume", status }),
        }
    }

    /// Which processes there are, by their pids in the guest.
    ///
    /// # Errors
    /// It does not run.
    pub fn processes(&self) -> Result<Vec<ProcessUsage>, OciError> {
        match self.ask(&Request::Processes)? {
            Report::Processes(processes) => Ok(processes),
            other => Err(unexpected(other)),
        }
    }

    /// What they use, as the guest counts it.
    ///
    /// # Errors
    /// It does not run.
    pub fn usage(&self) -> Result<Usage, OciError> {
        match self.ask(&Request::Usage)? {
            Report::Usage(usage) => Ok(usage),
            other => Err(unexpected(other)),
        }
    }

    /// Sets other limits; those that are not named stay.
    ///
    /// # Errors
    /// It does not run, or its VM has no room for them.
    pub fn update(&self, change: &LinuxResources) -> Result<(), OciError> {
        self.do_(&Request::Update(Box::new(change.clone())))
    }

    /// Has something done.
    pub(super) fn do_(&self, request: &Request) -> Result<(), OciError> {
        match self.ask(request)? {
            Report::Done => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    /// Waits for the answer as long as it takes.
    pub(super) fn ask(&self, request: &Request) -> Result<Report, OciError> {
        self.ask_within(request, None)?.ok_or(OciError::Died)
    }

    /// Waits for the answer so long at most; `None` when none came by then.
    fn ask_within(&self, request: &Request, patience: Option<Duration>) -> Result<Option<Report>, OciError> {
        let connection =
            UnixStream::connect(self.container.control()).map_err(|error| self.unreached(error))?;
        connection.set_read_timeout(patience).map_err(|error| self.unreached(error))?;
        send(&connection, request).map_err(|error| self.unreached(error))?;
        match receive(&mut BufReader::new(connection)) {
            Ok(Some(report)) => Ok(Some(report)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Ok(None) | Err(_) => Err(OciError::Died),
        }
    }

    /// Without a supervisor there is no container that runs.
    fn unreached(&self, error: io::Error) -> OciError {
        if self.container.is_alive() {
            return OciError::System { action: "cannot reach the container's supervisor", source: error };
        }
        OciError::NotRunning
    }
}

fn unexpected(report: Report) -> OciError {
    match report {
        Report::Failed { message } => OciError::Refused(message),
        _ => OciError::Died,
    }
}
