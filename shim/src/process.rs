//! What the process of a container and those executed beside it have in common for containerd: streams, a pid that is reaped, and
//! one end that many wait for.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use holm_protocol::causes::with_causes;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::logger::Logger;
use crate::streams::{Ends, Input, StreamPaths};

/// What is told of one whose status nobody knows.
const UNKNOWN: u32 = 255;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    /// 0 to 255; 128 + signal for one that a signal ended.
    pub(crate) status: u32,
    pub(crate) at: SystemTime,
}

impl Exit {
    /// Just now.
    pub(crate) fn with(status: u32) -> Self {
        Self { status, at: SystemTime::now() }
    }
}

/// A process of a container.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) streams: StreamPaths,
    /// Held while it is started, so that its end is told after its start.
    turn: Mutex<()>,
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// 0 before it was started.
    pid: u32,
    /// What it will read once it is started.
    input: Option<Input>,
    /// Keeps that from ending.
    input_closer: Option<File>,
    /// Who has its outputs, if they are logged.
    logger: Option<Logger>,
    exit: Option<Exit>,
    /// Of what stands for it, and of nobody else.
    pidfd: Option<OwnedFd>,
}

impl Process {
    /// One that is yet to be made.
    pub(crate) fn new(streams: StreamPaths) -> Self {
        Self { streams, turn: Mutex::default(), state: Mutex::default(), ended: Condvar::new() }
    }

    /// Whoever has it starts the process, and nobody hears of its end meanwhile.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reaps what stands for it; `tell` is called at its end, before those who wait go on.
    pub(crate) fn runs_as(
        self: &Arc<Self>,
        mut child: Child,
        ends: Ends,
        tell: impl FnOnce(u32, Exit) + Send + 'static,
    ) {
        let mut state = self.state();
        let pid = child.id();
        (state.pid, state.input, state.logger) = (pid, ends.input, ends.logger);
        // It was not reaped yet, so the number is its own.
        state.pidfd = i32::try_from(pid)
            .ok()
            .and_then(Pid::from_raw)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        drop(state);
        let process = Arc::clone(self);
        thread::spawn(move || {
            let ended = child.wait().ok();
            let status =
                ended.and_then(|ended| ended.code().or_else(|| ended.signal().map(|signal| 128 + signal)));
            let exit = Exit::with(status.and_then(|status| status.try_into().ok()).unwrap_or(UNKNOWN));
            let turn = process.turn();
            tell(pid, exit);
            drop(turn);
            process.end(exit);
        });
    }

    /// It has ended, or will never begin.
    pub(crate) fn end(&self, exit: Exit) {
        let mut state = self.state();
        state.exit.get_or_insert(exit);
        (state.input, state.input_closer) = (None, None);
        self.ended.notify_all();
    }

    /// It was killed: what stands for it is, too, when it takes longer than that. It may hang, or nobody reads the output that it
    /// has to write first.
    pub(crate) fn ends_within(self: &Arc<Self>, patience: Duration) {
        let process = Arc::clone(self);
        thread::spawn(move || {
            let state = process.state();
            let waited = process.ended.wait_timeout_while(state, patience, |state| state.exit.is_none());
            let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if let (None, Some(pidfd)) = (state.exit, &state.pidfd) {
                // One that ended meanwhile is what was wanted.
                let _ = pidfd_send_signal(pidfd, Signal::KILL);
            }
        });
    }

    /// It has ended: waits until what it wrote was logged, too, for as long as that may take.
    pub(crate) fn end_log(&self) {
        let logger = self.state().logger.take();
        drop(logger);
    }

    /// Waits for its end.
    pub(crate) fn wait(&self) -> Exit {
        let mut state = self.state();
        loop {
            if let Some(exit) = state.exit {
                return exit;
            }
            state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How it ended.
    pub(crate) fn exit(&self) -> Option<Exit> {
        self.state().exit
    }

    /// What stands for it on the host; 0 before it was started.
    pub(crate) fn pid(&self) -> u32 {
        self.state().pid
    }

    /// Its program runs: it gets what clients write. One whose FIFO is gone reads nothing.
    pub(crate) fn open_input(&self) {
        let mut state = self.state();
        match state.input.take().map(Input::carry).transpose() {
            Ok(closer) => state.input_closer = closer,
            Err(error) => tracing::warn!(error = with_causes(&error), "a process has no input"),
        }
    }

    /// Lets its input end when clients have closed it, too.
    pub(crate) fn close_input(&self) {
        let mut state = self.state();
        // Before the start nobody can have written anything.
        (state.input, state.input_closer) = (None, None);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn an_end_is_told_after_the_start_and_before_those_who_wait_go_on() {
        let process = Arc::new(Process::new(StreamPaths::default()));
        let turn = process.turn();
        let child = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        let (pid, (sender, told)) = (child.id(), mpsc::channel());
        process.runs_as(child, Ends::default(), move |of, exit| sender.send((of, exit.status)).unwrap());
        assert_eq!((process.pid(), process.exit()), (pid, None));
        assert!(told.try_recv().is_err());
        drop(turn);
        assert_eq!(process.wait().status, 7);
        assert_eq!(told.try_recv(), Ok((pid, 7)));
        assert_eq!(process.exit().map(|exit| exit.status), Some(7));
    }

    #[test]
    fn one_that_a_signal_ended_says_so() {
        let process = Arc::new(Process::new(StreamPaths::default()));
        let child = Command::new("sh").args(["-c", "kill -9 $$"]).spawn().unwrap();
        process.runs_as(child, Ends::default(), |_, _| ());
        assert_eq!(process.wait().status, 137);
    }

    #[test]
    fn one_that_hangs_is_killed_itself() {
        let process = Arc::new(Process::new(StreamPaths::default()));
        let child = Command::new("sh").args(["-c", "kill -STOP $$"]).spawn().unwrap();
        process.runs_as(child, Ends::default(), |_, _| ());
        process.ends_within(Duration::ZERO);
        assert_eq!(process.wait().status, 137);
    }

    #[test]
    fn one_that_never_began_ends_for_those_who_wait() {
        let process = Process::new(StreamPaths::default());
        process.end(Exit::with(255));
        process.end(Exit::with(0));
        assert_eq!(process.wait().status, 255);
    }
}
