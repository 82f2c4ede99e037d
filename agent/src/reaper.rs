//! PID 1's duty: collecting every process that ends, and telling who waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::fault::{At, Fault};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// As a shell shows it: the process's own code, or 128 + signal.
    pub(crate) exit_code: i32,
    /// When it was collected: nanoseconds since 1970 by the guest's clock.
    pub(crate) at_unix_ns: i64,
}

/// Collects processes. One per agent.
#[derive(Clone, Default)]
pub(crate) struct Reaper {
    waiting: Arc<Mutex<HashMap<i32, oneshot::Sender<Ended>>>>,
}

impl Reaper {
    /// Starts collecting, for ever.
    pub(crate) fn start() -> Result<Self, Fault> {
        let children = signal(SignalKind::child()).at("watching for SIGCHLD")?;
        let reaper = Self::default();
        tokio::spawn(reaper.clone().run(children));
        Ok(reaper)
    }

    /// Announces interest in a child. Must be called in the same breath as the clone, before anything is awaited.
    pub(crate) fn watch(&self, pid: Pid) -> oneshot::Receiver<Ended> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(pid.as_raw(), sender);
        receiver
    }

    async fn run(self, mut children: Signal) {
        loop {
            self.collect();
            if children.recv().await.is_none() {
                return;
            }
        }
    }

    fn collect(&self) {
        // One signal may stand for many children.
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            if status == WaitStatus::StillAlive {
                return;
            }
            let (Some(pid), Some(exit_code)) = (status.pid(), exit_code(&status)) else { continue };
            let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid.as_raw());
            if let Some(waiting) = waiting {
                // Whoever waited may have given up.
                waiting.send(Ended { exit_code, at_unix_ns: now_unix_ns() }).unwrap_or_default();
            }
        }
    }
}

fn exit_code(status: &WaitStatus) -> Option<i32> {
    match status {
        WaitStatus::Exited(_, code) => Some(*code & 0xff),
        WaitStatus::Signaled(_, signal, _) => Some(128 + *signal as i32),
        _ => None,
    }
}

fn now_unix_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::Signal;

    use super::*;

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        let pid = Pid::from_raw(7);
        assert_eq!(exit_code(&WaitStatus::Exited(pid, 3)), Some(3));
        assert_eq!(exit_code(&WaitStatus::Exited(pid, 255)), Some(255));
        assert_eq!(exit_code(&WaitStatus::Signaled(pid, Signal::SIGKILL, false)), Some(137));
        assert_eq!(exit_code(&WaitStatus::Signaled(pid, Signal::SIGSEGV, true)), Some(139));
        assert_eq!(exit_code(&WaitStatus::Stopped(pid, Signal::SIGSTOP)), None);
    }
}
