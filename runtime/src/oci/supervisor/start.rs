//! `start`: hooks in the guest, the program, hooks on the host (runtime.md, "Lifecycle", steps 6 to 9).
//!
//! Hooks take as long as they like, so they are waited for by threads: the container can be killed meanwhile.

use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Instant;

use nix::libc::SIGKILL;

use super::answer::report;
use super::{Event, KILL_TIMEOUT, Made, Supervisor};
use crate::host::Directories;
use crate::oci::error::OciError;
use crate::oci::hooks;
use crate::oci::protocol::Report;
use crate::oci::record::Status;
use crate::sandbox::{AgentError, Exit};
use crate::template::{self, TemplateStore};

/// How far a container is that somebody starts.
#[derive(Debug, Default)]
pub(super) enum Start {
    /// Nobody does yet.
    #[default]
    Waiting,
    /// Hooks run. How its program ended, if it did meanwhile.
    Going(Option<Result<Exit, AgentError>>),
    /// The answer was given.
    Done,
}

impl Supervisor {
    /// Runs the hooks in the guest and the program.
    pub(super) fn start(&mut self, made: &Made, client: UnixStream) {
        if self.record.status != Status::Created || !matches!(self.start, Start::Waiting) {
            let error = OciError::State { verb: "start", status: self.record.status };
            return report(&client, Err(error));
        }
        self.start = Start::Going(None);
        let (agent, sender) = (made.agent.clone(), self.sender.clone());
        let has_hooks = !made.bundle.hooks(|hooks| hooks.start_container()).is_empty();
        thread::spawn(move || {
            let executed = if has_hooks { agent.start_after_hooks() } else { agent.start_process("") };
            sender.send(Event::Executed(executed, client))
        });
    }

    /// Runs the hooks that come after the program was executed.
    pub(super) fn executed(&mut self, made: &Made, executed: Result<(), AgentError>, client: UnixStream) {
        let executed = executed.map_err(OciError::from).and_then(|()| self.write(Status::Running));
        let hooks = made.bundle.hooks(|hooks| hooks.poststart());
        if executed.is_err() || hooks.is_empty() {
            return self.started(made, executed, &client);
        }
        let (hooks, state, sender) =
            (hooks.to_vec(), self.record.state(Status::Running), self.sender.clone());
        thread::spawn(move || sender.send(Event::Started(hooks::run("poststart", &hooks, &state), client)));
    }

    /// Answers; a container that was not started is stopped.
    pub(super) fn started(&mut self, made: &Made, started: Result<(), OciError>, client: &UnixStream) {
        if started.is_err() {
            self.kill_at.get_or_insert_with(|| Instant::now() + KILL_TIMEOUT);
            let agent = made.agent.clone();
            // One that has ended by itself is what is wanted.
            thread::spawn(move || agent.signal_process("", SIGKILL));
        }
        report(client, started.map(|()| Report::Done));
        if let Some(sandbox) = &self.sandbox {
            template::learn(&TemplateStore::new(&Directories::from_environment()), sandbox);
        }
        if let Start::Going(Some(end)) = std::mem::replace(&mut self.start, Start::Done) {
            self.waiting.push_front(Event::WorkloadEnded(end));
        }
    }

    /// What it is when it is not paused.
    pub(super) fn going_on(&self) -> Status {
        match self.start {
            Start::Waiting => Status::Created,
            Start::Going(_) | Start::Done => Status::Running,
        }
    }
}
