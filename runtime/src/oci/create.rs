//! `create`: from a bundle to a container that waits to be started, in a supervisor that outlives the verb.

use std::fs;
use std::io::BufReader;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::bundle::Bundle;
use super::cgroup::CgroupForm;
use super::error::OciError;
use super::handover::{Handover, hand_over};
use super::hooks;
use super::id::OciId;
use super::protocol::Report;
use super::record::{Record, Status};
use super::role::Role;
use super::root::RootDevice;
use super::stdio::Streams;
use super::store::{OciContainer, Store};
use crate::durable;
use crate::host::{Directories, Installation, create_private_directory, small_stacks};
use crate::supervisor::protocol::receive;

/// The hidden verb of `holm-runtime` that runs a supervisor.
pub const SUPERVISE_VERB: &str = "supervise";

/// What is asked for.
#[derive(Clone, Debug)]
pub struct CreateRequest {
    /// `--root`, absolute.
    pub root: PathBuf,
    /// The container's id.
    pub id: OciId,
    /// `--bundle`.
    pub bundle: PathBuf,
    /// `--pid-file`.
    pub pid_file: Option<PathBuf>,
    /// `--console-socket`.
    pub console_socket: Option<PathBuf>,
    /// Whether somebody stays with it: then its terminal is the caller's.
    pub foreground: bool,
    /// `--preserve-fds`.
    pub preserve_fds: u32,
    /// How the bundle's cgroup path is meant.
    pub cgroup_form: CgroupForm,
    /// What its root file system is on, if not in the bundle.
    pub root_device: Option<RootDevice>,
    /// Roots of the containers in whose VM it may be, absolute.
    pub sandbox_roots: Vec<PathBuf>,
    /// Words that go before the supervisor's: where it logs.
    pub global_words: Vec<String>,
}

/// A container that was made.
#[derive(Debug)]
pub struct Created {
    /// It.
    pub container: OciContainer,
    /// Its supervisor.
    pub supervisor: Child,
}

/// What a supervisor is told on its command line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) struct SuperviseWords {
    pub(super) root: PathBuf,
    pub(super) id: String,
    /// The socket on which it is asked.
    pub(super) listener: Handover,
    /// The container's lock.
    pub(super) lock: Handover,
    /// Where it tells whether the container was made.
    pub(super) report: Handover,
    /// Where the terminal's master is sent.
    pub(super) console_socket: Option<PathBuf>,
}

/// Makes a container, whose supervisor is started with these streams.
///
/// # Errors
/// What kept it from being made; nothing is left of it then.
pub fn create(request: &CreateRequest, streams: Streams) -> Result<Created, OciError> {
    if request.preserve_fds > 0 {
        return Err(OciError::Impossible("open files of the host (--preserve-fds)".to_owned()));
    }
    let bundle = Bundle::load_on(&request.bundle, request.root_device.as_ref())?;
    check_terminal(request, bundle.has_terminal())?;
    let installation = Installation::find()?;
    installation.check()?;
    let record = Record {
        oci_version: bundle.spec.version().clone(),
        id: request.id.to_string(),
        pid: 0,
        status: Status::Creating,
        annotations: bundle.spec.annotations().clone().unwrap_or_default().into_iter().collect(),
        oom_killed: false,
        role: Role::of(&bundle, &request.sandbox_roots)?,
        cgroup: bundle.cgroup(&request.id, request.cgroup_form)?,
        poststop: bundle.hooks(|hooks| hooks.poststop()).to_vec(),
        bundle: bundle.path,
        rootfs: bundle.rootfs,
        root_device: request.root_device.clone(),
        created: OffsetDateTime::now_utc(),
    };
    let (container, lock) = Store::at(request.root.clone()).add(request.id.clone(), &record)?;
    let made = spawn(request, streams, &installation, &container, lock.into()).and_then(|supervisor| {
        let mut created = Created { container: container.clone(), supervisor };
        let written = write_pid(request, &created);
        if written.is_err() {
            // One that ended by itself is what is wanted, too.
            let _ = created.supervisor.kill().and_then(|()| created.supervisor.wait());
        }
        written.map(|()| created)
    });
    if made.is_err() {
        // The first failure is the one to tell. A supervisor that lives ends when it finds nobody to report to.
        let _ = container.remove();
        // What the hooks before it have set up is theirs to take down.
        hooks::run_all("poststop", &record.poststop, &record.state(Status::Stopped));
    }
    made
}

/// As runc: a terminal needs somebody who has its other end.
fn check_terminal(request: &CreateRequest, has_terminal: bool) -> Result<(), OciError> {
    let refuse = |why: &str| Err(OciError::Bundle(why.to_owned()));
    match (has_terminal, request.console_socket.is_some(), request.foreground) {
        (true, false, false) => {
            refuse("cannot allocate tty if runtime will detach without setting console socket")
        }
        (false, true, _) | (_, true, true) => {
            refuse("cannot use console socket if runtime will not detach or allocate tty")
        }
        _ => Ok(()),
    }
}

fn spawn(
    request: &CreateRequest,
    streams: Streams,
    installation: &Installation,
    container: &OciContainer,
    lock: OwnedFd,
) -> Result<Child, OciError> {
    Directories::from_environment().create()?;
    let sockets = container.sockets();
    let failed = |path: &PathBuf| {
        let path = path.clone();
        move |source| OciError::Write { path, source }
    };
    // What a container of this name left that was not deleted.
    holm_faults::fault!("oci.create.sockets")
        .and_then(|()| durable::remove(&sockets))
        .map_err(failed(&sockets))?;
    create_private_directory(&sockets)?;
    let control = container.control();
    let listener = holm_faults::fault!("oci.create.bind")
        .and_then(|()| UnixListener::bind(&control))
        .map_err(failed(&control))?;
    let (reports, reporter) = UnixStream::pair().map_err(OciError::system("cannot make a socket pair"))?;
    let console_socket = request.console_socket.as_deref().map(std::path::absolute).transpose();
    let mut command = Command::new(&installation.holm);
    small_stacks(&mut command).args(&request.global_words).arg(SUPERVISE_VERB);
    streams.are_of(&mut command);
    let numbers = hand_over(&mut command, vec![listener.into(), lock, reporter.into()]);
    let &[listener, lock, report] = numbers.as_slice() else { return Err(OciError::Died) };
    let words = SuperviseWords {
        root: request.root.clone(),
        id: request.id.to_string(),
        listener,
        lock,
        report,
        console_socket: console_socket.map_err(OciError::system("cannot find the console socket"))?,
    };
    let words = serde_json::to_string(&words)
        .map_err(|error| OciError::system("cannot pass on what was asked")(error))?;
    let supervisor = holm_faults::fault!("oci.create.spawn").and_then(|()| command.arg(words).spawn());
    let mut supervisor = supervisor.map_err(OciError::system("cannot start the container's supervisor"))?;
    holm_faults::crash!("oci.create.spawned");
    drop(command);
    let failure = match receive(&mut BufReader::new(reports)) {
        Ok(Some(Report::Done)) => return Ok(supervisor),
        Ok(Some(Report::Failed { message })) => OciError::Refused(message),
        _ => OciError::Died,
    };
    // It has nothing left to do: its end is awaited, so that nothing is used any more.
    let _ = supervisor.wait();
    Err(failure)
}

/// Whole or not at all: somebody may be waiting for it to appear.
fn write_pid(request: &CreateRequest, created: &Created) -> Result<(), OciError> {
    request.pid_file.as_ref().map_or(Ok(()), |path| write_pid_file(path, created.supervisor.id()))
}

pub(super) fn write_pid_file(path: &PathBuf, pid: u32) -> Result<(), OciError> {
    let failed = |source| OciError::Write { path: path.clone(), source };
    let mut beside = path.clone().into_os_string();
    beside.push(".new");
    fs::write(&beside, pid.to_string()).map_err(failed)?;
    fs::rename(&beside, path).map_err(failed)
}
