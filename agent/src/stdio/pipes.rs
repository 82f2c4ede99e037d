//! The pipes of a process without a terminal. Pipes, not sockets: `/dev/stdout` must be possible to open.

use std::os::fd::OwnedFd;

use holm_protocol::agent::messages::Stdio;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;
use tokio::net::unix::pipe::{Receiver, Sender};

use crate::child::ChildStdio;
use crate::fault::{At, Fault};

const PIPE_BYTES: i32 = 256 << 10;

/// The agent's ends; `None` for what nobody attaches.
#[derive(Default)]
pub(crate) struct AgentPipes {
    pub(crate) stdin: Option<Sender>,
    pub(crate) stdout: Option<Receiver>,
    pub(crate) stderr: Option<Receiver>,
}

/// Makes the pipes that are asked for; the other streams are /dev/null. With a terminal all are, until it takes over.
pub(crate) fn make(request: &Stdio, terminal: bool) -> Result<(ChildStdio, AgentPipes), Fault> {
    let mut pipes = AgentPipes::default();
    let wanted = |asked: bool| asked && !terminal;
    let stdin = if wanted(request.stdin) {
        let (read, write) = pipe()?;
        pipes.stdin = Some(Sender::from_owned_fd(write).at("making a pipe")?);
        read
    } else {
        ChildStdio::null()?
    };
    let (stdout, receiver) = output(wanted(request.stdout))?;
    pipes.stdout = receiver;
    let (stderr, receiver) = output(wanted(request.stderr))?;
    pipes.stderr = receiver;
    Ok((ChildStdio { stdin, stdout, stderr }, pipes))
}

fn output(wanted: bool) -> Result<(OwnedFd, Option<Receiver>), Fault> {
    if !wanted {
        return Ok((ChildStdio::null()?, None));
    }
    let (read, write) = output_pipe()?;
    Ok((write, Some(Receiver::from_owned_fd(read).at("making a pipe")?)))
}

/// An output's pipe holds as much as the agent takes at a time: a process that writes a lot and the agent take turns less
/// often.
fn output_pipe() -> Result<(OwnedFd, OwnedFd), Fault> {
    let (read, write) = pipe()?;
    // The usual size will do as well.
    let _ = fcntl(&write, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
    Ok((read, write))
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Fault> {
    pipe2(OFlag::O_CLOEXEC).at("making a pipe")
}
