//! `--init`: a small PID 1 that passes signals on and collects what others leave behind.
//!
//! It stays the agent's image (there is no program of ours inside a container), not dumpable, with the user and the
//! privileges of the workload. Its exit status is the workload's.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpgid, isatty, setpgid, tcsetpgrp};

use super::finish;
use crate::container::ProcessPlan;
use crate::fault::{At, Fault};
use crate::sys::clone::{Cloned, clone_process, exit_now};
use crate::sys::{descriptors, signals};

/// Splits the process: the caller goes on in the child, the parent stays as PID 1 and never returns.
pub(crate) fn split(plan: &ProcessPlan) -> Result<(), Fault> {
    signals::reset();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None).at("blocking signals")?;
    match clone_process(0, None).at("making the process below init")? {
        Cloned::Child => {
            // A group of its own, in the terminal's foreground, so that ^C reaches the workload and not init.
            setpgid(Pid::from_raw(0), Pid::from_raw(0)).at("making a process group")?;
            let stdin = std::io::stdin();
            if isatty(&stdin).unwrap_or(false) {
                let group = getpgid(None).at("making a process group")?;
                tcsetpgrp(&stdin, group).at("taking the terminal")?;
            }
            Ok(())
        }
        Cloned::Parent { pid, pidfd } => {
            nix::sys::prctl::set_name(c"holm-init").unwrap_or_default();
            finish::give_up_privileges(plan)?;
            // Holding on to the channel would hide that the workload has started.
            descriptors::close_all_except(&[pidfd.as_fd()]).at("closing descriptors")?;
            serve(pid, pidfd.as_fd())
        }
    }
}

fn serve(workload: Pid, pidfd: BorrowedFd<'_>) -> ! {
    loop {
        match SigSet::all().wait() {
            Ok(Signal::SIGCHLD) => reap(workload),
            // The terminal stops and continues the workload's group itself.
            Ok(Signal::SIGTTIN | Signal::SIGTTOU | Signal::SIGTSTP) | Err(_) => {}
            Ok(signal) => {
                signals::send_to(pidfd, signal as i32).unwrap_or_default();
            }
        }
    }
}

/// Collects all that have ended; ends with the workload.
fn reap(workload: Pid) {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == workload => exit_now(code),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == workload => exit_now(128 + signal as i32),
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
            _ => {}
        }
    }
}
