//! A logging binary: a program that is given a process's outputs (containerd, runtime/v2/README.md, "Logging").
//!
//! ```text
//!   shim ──spawn──> this program again (`log`), outputs and a pipe as its standard streams ──execve──> the binary: 3, 4 and 5
//!     └── waits until 5 is closed: it is ready
//! ```
//!
//! By way of its own program, because numbers of descriptors are free in a process that has nothing else yet.
//! It ends when its outputs do, which is when the process that stands for the guest's has ended.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::destination::LogProgram;
use crate::error::ShimError;

/// The hidden verb that becomes a logging binary.
pub(crate) const LOG_VERB: &str = "log";

/// How long one may take when there is no more output, and when it was asked to end: together as long as under runc.
const PATIENCE: Duration = Duration::from_secs(2);
const TERM_PATIENCE: Duration = Duration::from_secs(10);

/// Before a message of why there is no binary, in the pipe that it would close.
const FAILED: u8 = 0;

/// A logging binary that runs. Dropped, it is waited for, and killed when it takes long; nobody writes to it any more then.
#[derive(Debug)]
pub(crate) struct Logger(Child);

/// What it gets.
#[derive(Debug)]
pub(crate) struct Outputs {
    pub(crate) stdout: PipeWriter,
    pub(crate) stderr: PipeWriter,
}

impl Logger {
    /// Starts one for the outputs of a process; returns when it is ready.
    pub(crate) fn start(
        program: &LogProgram,
        id: &str,
        namespace: &str,
    ) -> Result<(Self, Outputs), ShimError> {
        let failed = |source| ShimError::Logger { path: program.path().to_owned(), source };
        let words = serde_json::to_string(program).map_err(|error| failed(error.into()))?;
        let (stdout_reader, stdout) = io::pipe().map_err(failed)?;
        let (stderr_reader, stderr) = io::pipe().map_err(failed)?;
        let (mut ready, wait) = io::pipe().map_err(failed)?;
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.arg(LOG_VERB).arg(words).stdin(stdout_reader).stdout(stderr_reader).stderr(wait);
        command.env_clear().env("CONTAINER_ID", id).env("CONTAINER_NAMESPACE", namespace);
        let logger = Self(command.spawn().map_err(failed)?);
        // With its copies of the ends.
        drop(command);
        let mut first = [0];
        match ready.read(&mut first).map_err(failed)? {
            1 if first == [FAILED] => {
                let mut why = String::new();
                ready.read_to_string(&mut why).map_err(failed)?;
                Err(failed(io::Error::other(why)))
            }
            _ => Ok((logger, Outputs { stdout, stderr })),
        }
    }

    /// Whether it ends within this time.
    fn ends_within(&self, patience: Duration) -> io::Result<bool> {
        let pidfd = pidfd_open(Pid::from_child(&self.0), PidfdFlags::empty())?;
        let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
        Ok(poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&patience))? > 0)
    }

    fn finish(&mut self) -> io::Result<()> {
        if !self.ends_within(PATIENCE)? {
            let pidfd = pidfd_open(Pid::from_child(&self.0), PidfdFlags::empty())?;
            pidfd_send_signal(pidfd, Signal::TERM)?;
            if !self.ends_within(TERM_PATIENCE)? {
                self.0.kill()?;
            }
        }
        self.0.wait().map(drop)
    }
}

impl Drop for Logger {
    fn drop(&mut self) {
        if let Err(error) = self.finish() {
            tracing::warn!(%error, "cannot wait for a logging binary");
        }
    }
}

/// Becomes the logging binary that `words` name, in a process that [`Logger::start`] has made.
pub(crate) fn become_binary(words: &str) -> io::Result<Infallible> {
    let program: LogProgram = serde_json::from_str(words)?;
    let _given = (at(3, &io::stdin())?, at(4, &io::stdout())?);
    let wait = at(5, &io::stderr())?;
    let null = || File::options().read(true).write(true).open("/dev/null");
    let mut command = Command::new(&program.path);
    let failed = command.args(&program.arguments).stdin(null()?).stdout(null()?).stderr(null()?).exec();
    let mut wait = File::from(wait);
    wait.write_all(&[FAILED])?;
    write!(wait, "{failed}")?;
    Err(failed)
}

/// The same stream under a number that is free, for the binary too.
fn at(number: RawFd, stream: &impl AsFd) -> io::Result<OwnedFd> {
    let given = fcntl_dupfd_cloexec(stream, number)?;
    if given.as_raw_fd() != number {
        return Err(io::Error::other(format!("descriptor {number} is in use")));
    }
    fcntl_setfd(&given, FdFlags::empty())?;
    Ok(given)
}
