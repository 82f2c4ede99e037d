//! From a container that was made to its end, and what happens between.

use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Instant;

use nix::libc::{SIGKILL, SIGWINCH};

use super::answer::report;
use super::start::Start;
use super::{Event, KILL_TIMEOUT, KILLED, Made, Supervisor};
use crate::oci::error::OciError;
use crate::oci::out_of_memory;
use crate::oci::protocol::{Report, Request};
use crate::oci::role::Role;
use crate::oci::stdio::Carriers;
use crate::sandbox::AgentClient;

impl Supervisor {
    /// From a container that was made to the end of its VM.
    pub(super) fn run(mut self, made: Made) -> u8 {
        let ended = self.await_end(&made);
        if ended.is_none() {
            // A VM that does not answer writes nothing more.
            self.end_vm();
        }
        self.await_delivery(made.carriers);
        if ended.is_some() && self.vmm_end.is_none() && self.sandbox.is_some() {
            self.await_shutdown(made.agent);
        }
        self.end_vm();
        // The cgroup of a pod is that of all.
        let place = self.record.cgroup.as_ref().filter(|_| self.record.role == Role::Alone);
        if let Some(Err(error)) = place.filter(|_| self.record.oom_killed).map(|at| out_of_memory::tell(at)) {
            tracing::warn!(%error, "engines cannot be told that memory ran out");
        }
        ended.unwrap_or(KILLED)
    }

    /// What happens next; `None` when the workload was killed and its time is up.
    fn next(&mut self) -> Option<Event> {
        match (self.waiting.pop_front(), self.kill_at) {
            (Some(event), _) => Some(event),
            (None, None) => self.events.recv().ok(),
            (None, Some(at)) => self.events.recv_timeout(at.saturating_duration_since(Instant::now())).ok(),
        }
    }

    /// Waits until all that came from the guest was written. Nobody may be reading it: SIGKILL gives it up.
    fn await_delivery(&mut self, carriers: Carriers) {
        let sender = self.sender.clone();
        thread::spawn(move || {
            carriers.drain();
            sender.send(Event::Delivered)
        });
        let soon = || Instant::now() + KILL_TIMEOUT;
        self.kill_at = self.kill_at.map(|_| soon());
        while let Some(event) = self.next() {
            match event {
                Event::Delivered => return,
                Event::VmmEnded(end) => self.vmm_end = Some(end),
                Event::Asked(request, client) => {
                    let is_killed = turn_away(&request, &client);
                    self.kill_at = self.kill_at.or_else(|| is_killed.then(soon));
                }
                _ => {}
            }
        }
        tracing::warn!("nobody reads what the container wrote: the rest of it is lost");
    }

    /// Waits until the guest has written what it has yet to write, to the root file system and its other mounts.
    fn await_shutdown(&mut self, agent: AgentClient) {
        let sender = self.sender.clone();
        thread::spawn(move || {
            if let Err(error) = agent.shutdown() {
                tracing::warn!(%error, "the guest did not shut down in order");
            }
            sender.send(Event::ShutDown)
        });
        while let Ok(event) = self.events.recv() {
            match event {
                Event::ShutDown => return,
                Event::VmmEnded(end) => self.vmm_end = Some(end),
                Event::Asked(request, client) => _ = turn_away(&request, &client),
                _ => {}
            }
        }
    }

    /// The workload's exit code; `None` when it was lost, or had to be, with its VM.
    fn await_end(&mut self, made: &Made) -> Option<u8> {
        while let Some(event) = self.next() {
            match event {
                Event::WorkloadEnded(end) if matches!(self.start, Start::Going(_)) => {
                    // Whoever starts it is told first how that went.
                    self.start = Start::Going(Some(end));
                }
                Event::WorkloadEnded(Ok(exit)) => {
                    if exit.oom_killed {
                        self.tell_of_oom();
                    }
                    return Some(exit.code);
                }
                Event::WorkloadEnded(Err(error)) => {
                    self.await_vmm_end(KILL_TIMEOUT);
                    tracing::warn!(%error, vm = ?self.vmm_end, "the workload is lost");
                    return None;
                }
                Event::VmmEnded(end) => {
                    // Its output is complete as far as it came.
                    tracing::warn!(reason = end.reason, "the VM ended");
                    self.vmm_end = Some(end);
                    return None;
                }
                Event::Executed(executed, client) => self.executed(made, executed, client),
                Event::Started(started, client) => self.started(made, started, &client),
                Event::AgentConnected(_) | Event::Delivered | Event::ShutDown => {}
                Event::Left(name) => {
                    if let Some(pod) = &mut self.pod {
                        pod.left(&name);
                    }
                    for (request, client) in std::mem::take(&mut self.joining) {
                        self.admit(made, request, client);
                    }
                }
                Event::Signal(SIGWINCH) => {
                    if let Some((columns, rows)) = made.ends.size() {
                        let agent = made.agent.clone();
                        thread::spawn(move || agent.resize_process("", columns, rows));
                    }
                }
                Event::Signal(signal) => {
                    let agent = made.agent.clone();
                    thread::spawn(move || agent.signal_process("", signal));
                }
                Event::Asked(request, client) => self.answer(made, *request, client),
            }
        }
        None
    }

    /// For those who look when it has stopped.
    fn tell_of_oom(&mut self) {
        self.record.oom_killed = true;
        if let Err(error) = self.container.write(&self.record) {
            tracing::warn!(%error, "cannot say that memory ran out");
        }
    }
}

/// Answers for a container that has ended; says whether it was to be killed, which is what becomes of it.
fn turn_away(request: &Request, client: &UnixStream) -> bool {
    let is_killed = matches!(request, Request::Signal { signal: SIGKILL, .. });
    report(client, if is_killed { Ok(Report::Done) } else { Err(OciError::NotRunning) });
    is_killed
}
