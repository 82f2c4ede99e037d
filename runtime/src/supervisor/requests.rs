//! What happens to a container from outside, between boot and end: clients connect and ask, the VM ends.

use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use holm_protocol::stream::StreamKind;

use super::error::SupervisorError;
use super::event::Event;
use super::exec::{Exec, ExecEvent};
use super::protocol::{self, Hello, Report, Request};
use super::rewire::Rewiring;
use super::run::Supervisor;
use super::stop::Stop;
use super::transfer::TransferTask;
use crate::bundle::{self, ExecRequest};
use crate::container::Status;
use crate::container::settings::SignalName;
use crate::sandbox::{AgentClient, AgentError, Footprint, TransferRequest, Usage};

impl Supervisor {
    /// Takes note of an event.
    ///
    /// # Errors
    /// When it is the end of this life's VM.
    pub(super) fn handle(&mut self, event: Event) -> Result<(), SupervisorError> {
        match event {
            Event::VmmEnded(life, end) if life == self.life => {
                self.vm.end = Some(end.clone());
                return Err(SupervisorError::VmEnded(end));
            }
            Event::WorkloadEnded(life, result) if life == self.life => self.vm.exit = Some(result),
            Event::Saved(life) if life == self.life => self.end_saved(),
            // Of an earlier life.
            Event::AgentConnected(..) | Event::VmmEnded(..) | Event::WorkloadEnded(..) | Event::Saved(_) => {}
            Event::Client(hello, connection) => self.welcome(hello, connection),
            Event::Request(client, request) => self.obey(client, request),
            Event::Answer(client, report) => self.clients.answer(client, &report),
            Event::Probed(life, probe, began) => self.probed(life, probe, began),
            Event::ClientGone(number) => self.clients.remove(number),
        }
        Ok(())
    }

    fn welcome(&mut self, hello: Hello, connection: UnixStream) {
        match hello {
            Hello::Control => {
                self.clients.add(connection, self.sender.clone());
                if self.state.status.is_active() || self.serves_files {
                    self.clients.tell(&Report::Started);
                }
            }
            Hello::Exec(request) => self.execute(*request, connection),
            Hello::Transfer(request) => self.begin_transfer(*request, connection),
            Hello::Stat { path, follow } => self.stat(path, follow, connection),
            Hello::Connect(network) => self.rewire(Rewiring::Connect(*network), connection),
            Hello::Disconnect { network } => self.rewire(Rewiring::Disconnect(network), connection),
            Hello::Checkpoint(request) => self.checkpoint(*request, connection),
            Hello::Files(transfer) => self.add_stream(&transfer, StreamKind::Files, connection),
            Hello::Stdin(process) => self.add_stream(&process, StreamKind::Stdin, connection),
            Hello::Stdout(process) => self.add_stream(&process, StreamKind::Stdout, connection),
            Hello::Stderr(process) => self.add_stream(&process, StreamKind::Stderr, connection),
        }
    }

    fn add_stream(&mut self, process: &str, kind: StreamKind, connection: UnixStream) {
        if let Some(exec) = self.execs.get(process) {
            // A process that ended has no use for it.
            let _ = exec.send(ExecEvent::Stream(kind, connection));
        } else if !process.is_empty() {
            drop(connection);
        } else if let Some(output) = self.outputs.get(&kind) {
            output.add(connection);
        } else if kind == StreamKind::Stdin && self.container.record.settings.open_stdin {
            self.input.add(connection);
        }
    }

    fn execute(&mut self, request: ExecRequest, client: UnixStream) {
        // Forgets those whose thread is gone; the others ignore this.
        self.execs.retain(|_, exec| exec.send(ExecEvent::Request(Request::Start)).is_ok());
        let id = request.id.clone();
        match self.exec(request) {
            Ok(exec) => drop(self.execs.insert(id, exec.spawn(client))),
            Err(message) => {
                // A client that went away need not be told.
                let _ = protocol::send(&client, &Report::Failed { code: 126, message });
            }
        }
    }

    fn begin_transfer(&mut self, request: TransferRequest, client: UnixStream) {
        self.execs.retain(|_, exec| exec.send(ExecEvent::Request(Request::Start)).is_ok());
        let id = request.id.clone();
        match self.transfer_task(request) {
            Ok(task) => drop(self.execs.insert(id, task.spawn(client))),
            Err(message) => {
                // A client that went away need not be told.
                let _ = protocol::send(&client, &Report::Refused { message });
            }
        }
    }

    fn transfer_task(&self, request: TransferRequest) -> Result<TransferTask, String> {
        let agent = self.agent_with_files()?.clone();
        let vsock_socket = self.vm.sandbox.as_ref().map(|sandbox| sandbox.vsock_socket.clone());
        // Without a workload nothing has to stand still.
        let pause = request.pause && self.vm.started.is_some();
        Ok(TransferTask {
            container_id: agent.container_id().to_owned(),
            agent,
            vsock_socket: vsock_socket.unwrap_or_default(),
            request: TransferRequest { pause, ..request },
        })
    }

    fn stat(&self, path: String, follow: bool, client: UnixStream) {
        let agent = self.agent_with_files().cloned();
        thread::spawn(move || {
            let found = agent.and_then(|agent| agent.stat_file(&path, follow).map_err(|e| e.to_string()));
            let report = found.map_or_else(|message| Report::Refused { message }, Report::File);
            // A client that went away need not be told.
            let _ = protocol::send(&client, &report);
        });
    }

    fn agent_with_files(&self) -> Result<&AgentClient, String> {
        let agent = if self.vm.has_files { self.vm.agent.as_ref() } else { None };
        agent.ok_or_else(|| format!("container {} is being started, try again", self.container.id.short()))
    }

    pub(super) fn exec(&self, request: ExecRequest) -> Result<Exec, String> {
        let short = self.container.id.short();
        let (agent, sandbox, workload) = match (self.state.status, &self.vm) {
            (Status::Paused, _) => {
                return Err(format!("container {short} is paused, unpause the container before exec"));
            }
            (Status::Running, vm) => (&vm.agent, &vm.sandbox, &vm.process),
            _ => return Err(format!("container {short} is not running")),
        };
        let (Some(agent), Some(sandbox), Some(workload)) = (agent, sandbox, workload) else {
            return Err(format!("container {short} is not running"));
        };
        let process = bundle::exec_process(workload, &self.container.record.settings, &request)
            .map_err(|error| error.to_string())?;
        Ok(Exec {
            agent: agent.clone(),
            container: self.container.clone(),
            is_probe: false,
            vsock_socket: sandbox.vsock_socket.clone(),
            process,
            request,
        })
    }

    fn obey(&mut self, client: u64, request: Request) {
        let outcome = match request {
            Request::Start => {
                self.start_asked = true;
                return;
            }
            Request::Kill => {
                self.stop_asked = true;
                self.note_signal(SignalName::KILL.number());
                self.kill();
                return;
            }
            Request::Stop { signal, grace_s } => {
                holm_faults::crash!("supervisor.stop.asked");
                self.begin_stop(signal, grace_s);
                return;
            }
            Request::Resize { columns, rows } => {
                if let Some(agent) = &self.vm.agent
                    && let Err(error) = agent.resize_process("", columns, rows)
                {
                    tracing::debug!(%error, "the terminal's size was not set");
                }
                return;
            }
            Request::Signal(signal) => {
                // As in Docker: who kills a container does not want it back.
                self.stop_asked |= signal == SignalName::KILL.number();
                self.running_agent()
                    .and_then(|agent| agent.signal_process("", signal).map_err(|error| error.to_string()))
                    .inspect(|()| self.note_signal(signal))
            }
            // Answered by the thread that asks.
            Request::Processes | Request::Usage => {
                let vmm = self.vm.sandbox.as_ref().map(|sandbox| sandbox.vmm.pid());
                let question = move |agent: &AgentClient| match request {
                    Request::Usage => agent.usage().map(|usage| {
                        // A kernel that does not say, or not to us, is one column less.
                        let footprint = vmm.and_then(|pid| Footprint::of(pid).ok());
                        Report::Usage(Usage { footprint, ..usage })
                    }),
                    _ => agent.processes().map(Report::Processes),
                };
                match self.ask(client, question) {
                    Ok(()) => return,
                    refused => refused,
                }
            }
            Request::Update(change) => self.update(&change),
            Request::Pause => self.freeze(true),
            Request::Unpause => self.freeze(false),
        };
        let report = match outcome {
            Ok(()) => Report::Done,
            Err(message) => Report::Refused { message },
        };
        self.clients.answer(client, &report);
    }

    /// Finds something out for a client, on a thread of its own: a guest that does not answer delays nobody else.
    fn ask(
        &self,
        client: u64,
        question: impl FnOnce(&AgentClient) -> Result<Report, AgentError> + Send + 'static,
    ) -> Result<(), String> {
        let (agent, sender) = (self.running_agent()?.clone(), self.sender.clone());
        thread::spawn(move || {
            let report = question(&agent).unwrap_or_else(|e| Report::Refused { message: e.to_string() });
            // A supervisor at its end answers no more.
            let _ = sender.send(Event::Answer(client, report));
        });
        Ok(())
    }

    pub(super) fn running_agent(&self) -> Result<&AgentClient, String> {
        let agent = self.vm.started.and(self.vm.agent.as_ref());
        agent.ok_or_else(|| format!("container {} is not running", self.container.id.short()))
    }

    /// Asks the workload to end; what follows happens in [`Supervisor::await_end`].
    fn begin_stop(&mut self, signal: i32, grace_s: Option<u32>) {
        self.stop_asked = true;
        let sent = self
            .running_agent()
            .and_then(|agent| agent.signal_process("", signal).map_err(|error| error.to_string()));
        if let Err(error) = sent {
            // Still booting, or past help.
            tracing::debug!(%error, "no workload to stop");
            self.kill();
            return;
        }
        self.note_signal(signal);
        self.stop = Some(Stop::asked(grace_s.map(|s| Duration::from_secs(s.into())), Instant::now()));
        if self.state.status == Status::Paused
            && let Err(error) = self.freeze(false)
        {
            tracing::debug!(%error, "a paused container could not go on to its end");
        }
    }

    fn freeze(&mut self, frozen: bool) -> Result<(), String> {
        let short = self.container.id.short();
        match (self.state.status, frozen) {
            (Status::Paused, true) => return Err(format!("container {short} is already paused")),
            (Status::Paused, false) | (Status::Running, true) => {}
            (_, false) => return Err(format!("container {short} is not paused")),
            (_, true) => return Err(format!("container {short} is not running")),
        }
        let agent = self.running_agent()?;
        if frozen { agent.freeze() } else { agent.thaw() }.map_err(|error| error.to_string())?;
        if let Some(monitor) = self.vm.health.as_mut().filter(|_| !frozen) {
            monitor.resume(Instant::now());
        }
        self.state.status = if frozen { Status::Paused } else { Status::Running };
        self.write_state().map_err(|error| error.to_string())?;
        self.container.note(if frozen { "pause" } else { "unpause" }, &[]);
        Ok(())
    }
}
