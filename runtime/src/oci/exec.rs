//! `exec`: one more process in a running container. The verb's own process stands for it: it has its streams, its signals are the
//! process's, and it ends with its exit status.

use std::io::BufReader;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::libc::SIGWINCH;
use oci_spec::runtime::Process;
use serde::{Deserialize, Serialize};

use super::client::Client;
use super::console::open_console;
use super::create::write_pid_file;
use super::error::OciError;
use super::handover::{Handover, hand_over, take_over};
use super::process::without_impossible_ambient;
use super::protocol::{Report, Request};
use super::record::Status;
use super::signals;
use super::stdio::{Ends, Streams, leave_inherited};
use super::store::Store;
use crate::host::Installation;
use crate::supervisor::protocol::{receive, send};

/// The hidden verb of `holm-runtime` that stands for a process.
pub const HOLD_VERB: &str = "hold";

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct ExecRequest {
    /// `--root`, absolute.
    pub root: PathBuf,
    /// The container's id.
    pub id: String,
    /// What to run.
    pub process: Process,
    /// `--console-socket`; without it a terminal is the caller's own.
    pub console_socket: Option<PathBuf>,
    /// `--pid-file`: gets the pid of this process.
    pub pid_file: Option<PathBuf>,
}

/// A process beside the container's own that runs.
#[derive(Debug)]
pub struct Executed {
    /// What stands for it on the host.
    pub holder: Child,
    /// Its name, for [`Client`].
    pub process: String,
}

/// Runs a process beside the container's own in a process that stays when this one goes, and is started with these streams;
/// returns when it runs. `global_words` go before the verb.
///
/// # Errors
/// What kept it from running.
pub fn execute_detached(
    request: &ExecRequest,
    global_words: &[String],
    streams: Streams,
) -> Result<Executed, OciError> {
    let (near, far) = UnixStream::pair().map_err(OciError::system("cannot make a socket pair"))?;
    let program = Installation::find()?.holm;
    let mut command = Command::new(program);
    command.args(global_words).arg(HOLD_VERB);
    let numbers = hand_over(&mut command, vec![far.into()]);
    streams.are_of(&mut command);
    let holder = command.args(numbers.iter().map(ToString::to_string)).spawn();
    let mut holder = holder.map_err(OciError::system("cannot start the process that holds another"))?;
    drop(command);
    send(&near, request).map_err(OciError::system("cannot pass on what was asked"))?;
    let failure = match receive(&mut BufReader::new(near)) {
        Ok(Some(Report::Executed { process })) => return Ok(Executed { holder, process }),
        Ok(Some(Report::Failed { message })) => OciError::Refused(message),
        _ => OciError::Died,
    };
    let _ = holder.wait();
    Err(failure)
}

/// Stands for a process, as [`execute_detached`] asks; gives its exit status.
///
/// # Errors
/// What kept it from running; who asked was told.
pub fn hold(number: Handover) -> Result<u8, OciError> {
    let what = "cannot use what this process was started with";
    let asked = UnixStream::from(take_over(number).map_err(OciError::system(what))?);
    let request: ExecRequest = receive(&mut BufReader::new(&asked))
        .map_err(OciError::system(what))?
        .ok_or_else(|| OciError::Refused("a process is held by `exec` only".to_owned()))?;
    // Wherever it was started, it keeps no file system from being unmounted.
    std::env::set_current_dir("/").map_err(OciError::system("cannot change to /"))?;
    if request.console_socket.is_some() {
        leave_inherited()?;
    }
    // Who has gone need not be told.
    let done =
        execute(&request, |process| drop(send(&asked, &Report::Executed { process: process.to_owned() })));
    if let Err(error) = &done {
        let _ = send(&asked, &Report::Failed { message: error.message() });
    }
    done
}

/// Runs a process beside the container's own; gives its exit status. `started` is called with its name when it runs.
///
/// # Errors
/// What kept it from running.
pub fn execute(request: &ExecRequest, started: impl FnOnce(&str)) -> Result<u8, OciError> {
    let container = &Store::at(request.root.clone()).find(request.id.parse()?)?;
    match container.state()?.status {
        Status::Running | Status::Created => {}
        status => return Err(OciError::State { verb: "exec in", status }),
    }
    let client = Client::of(container);
    // For a terminal of its own. One who leads a group already keeps the one that it has.
    let _ = nix::unistd::setsid();
    signals::block().map_err(OciError::system("cannot block signals"))?;
    let has_terminal = request.process.terminal().unwrap_or(false);
    let size = request.process.console_size();
    let size = size.and_then(|size| Some((size.width().try_into().ok()?, size.height().try_into().ok()?)));
    let ends = match &request.console_socket {
        Some(socket) => Ends::terminal(open_console(socket, size)?)?,
        None if has_terminal => Ends::inherited_terminal()?,
        None => Ends::inherited()?,
    };
    let name = unique_name();
    let spec = Box::new(without_impossible_ambient(request.process.clone()));
    client.do_(&Request::Execute { process: name.clone(), spec, stdin: ends.has_stdin() })?;
    let vsock = container.sockets().join("vsock");
    let carriers = ends.ask(&vsock, &container.name(), &name)?.carry(&ends)?;
    let resize = |size: Option<(u16, u16)>| {
        size.map(|(columns, rows)| Request::Resize { process: name.clone(), columns, rows })
    };
    if let (true, Some(request)) = (has_terminal, resize(ends.size().or(size))) {
        client.do_(&request)?;
    }
    client.do_(&Request::StartProcess { process: name.clone() })?;
    if let Some(path) = &request.pid_file {
        write_pid_file(path, std::process::id())?;
    }
    started(&name);
    let (of, process) = (container.clone(), name.clone());
    let terminal = ends.again()?;
    signals::listen(move |signal| {
        let process = process.clone();
        let request = match (signal, terminal.size()) {
            (SIGWINCH, None) => return true,
            (SIGWINCH, Some((columns, rows))) => Request::Resize { process, columns, rows },
            (signal, _) => Request::Signal { process, signal, all: false },
        };
        let of = of.clone();
        // One that has ended meanwhile is past it.
        thread::spawn(move || Client::of(&of).do_(&request));
        true
    });
    let code = match client.ask(&Request::Wait { process: name })? {
        Report::Exited { code } => code,
        Report::Failed { message } => return Err(OciError::Refused(message)),
        _ => return Err(OciError::Died),
    };
    carriers.drain();
    Ok(code)
}

/// No other process of this container has it.
fn unique_name() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}-{:x}", std::process::id(), now.as_nanos())
}
