//! Runs `startContainer` hooks: in the container, after the start and before the program.
//!
//! Each is a child of the process that becomes the program, with that one's user, privileges, seccomp filter and working
//! directory, as under runc. It reads the state on its standard input and writes into a file in memory, of which a failure tells the
//! beginning.
//!
//! Trust: the programs are the container's, and can do what the program itself could.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::AsFd;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, execve, getpid};

use super::finish::give_up_privileges;
use crate::container::start_hooks::{StartHook, StartHooks};
use crate::container::{ProcessPlan, program};
use crate::fault::{At, Fault};
use crate::sys::clone::{Cloned, clone_process, exit_now};
use crate::sys::signals;

/// What a shell says of a program that it cannot execute.
const NOT_EXECUTED: i32 = 127;
/// How much of what a hook wrote is told.
const MAX_WORDS_BYTES: u64 = 4096;

/// Runs all hooks, one after the other.
///
/// # Errors
/// The first that fails; those after it did not run.
pub(super) fn run(hooks: &StartHooks, plan: &ProcessPlan) -> Result<(), Fault> {
    for hook in &hooks.hooks {
        let state = hooks.state(getpid().as_raw());
        run_one(hook, &state, plan).map_err(|reason| {
            let path = hook.path.display();
            Fault::precondition(format!("error running startContainer hook {path}: {reason}"))
        })?;
    }
    Ok(())
}

fn run_one(hook: &StartHook, state: &[u8], plan: &ProcessPlan) -> Result<(), Fault> {
    let mut stdin = memory_file()?;
    stdin.write_all(state).and_then(|()| stdin.rewind()).at("writing the state")?;
    let mut words = memory_file()?;
    let (pid, pidfd) = match clone_process(0, None).at("making its process")? {
        Cloned::Child => {
            let fault = match become_hook(hook, &stdin, &words, plan) {
                Ok(never) => match never {},
                Err(fault) => fault,
            };
            // Told as what the hook itself says; without room for that there is still the status.
            words.write_all(fault.message.as_bytes()).unwrap_or_default();
            exit_now(NOT_EXECUTED)
        }
        Cloned::Parent { pid, pidfd } => (pid, pidfd),
    };
    if let Some(limit) = hook.timeout {
        let begun = Instant::now();
        loop {
            let left = limit.saturating_sub(begun.elapsed());
            // Longer than poll can wait is waited for again.
            let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], left) {
                Ok(0) if begun.elapsed() >= limit => {
                    signals::send_to(&pidfd, libc::SIGKILL).unwrap_or_default();
                    waitpid(pid, None).at("waiting for it")?;
                    return Err(Fault::precondition(format!("it took longer than {} s", limit.as_secs())));
                }
                Ok(0) | Err(Errno::EINTR) => {}
                ready => {
                    ready.at("waiting for it")?;
                    break;
                }
            }
        }
    }
    let status = match waitpid(pid, None).at("waiting for it")? {
        WaitStatus::Exited(_, 0) => return Ok(()),
        WaitStatus::Exited(_, code) => format!("exit status: {code}"),
        WaitStatus::Signaled(_, signal, _) => format!("signal: {signal}"),
        other => format!("{other:?}"),
    };
    let mut said = Vec::new();
    words
        .rewind()
        .and_then(|()| (&mut words).take(MAX_WORDS_BYTES).read_to_end(&mut said))
        .at("reading it")?;
    Err(Fault::precondition(format!("{status}: {}", String::from_utf8_lossy(&said).trim())))
}

fn memory_file() -> Result<File, Fault> {
    memfd_create("hook", MFdFlags::MFD_CLOEXEC).map(File::from).at("making a file in memory")
}

fn become_hook(
    hook: &StartHook,
    stdin: &File,
    words: &File,
    plan: &ProcessPlan,
) -> Result<std::convert::Infallible, Fault> {
    dup2_stdin(stdin).at("its standard input")?;
    dup2_stdout(words).at("its standard output")?;
    dup2_stderr(words).at("its standard error")?;
    let file = CString::new(hook.path.as_os_str().as_encoded_bytes()).refuse("its name")?;
    give_up_privileges(plan)?;
    signals::reset();
    execve(&file, &hook.args, &hook.env).map_err(|error| program::exec_failed(&hook.path, error))
}
