//! One more process in the running container (`holm exec`): its thread, from the client's wish to the exit code.
//!
//! ```text
//!   Hello::Exec ──> streams connect ──> process made, streams carried, started ──> ended, output delivered, client told
//! ```
//!
//! The main thread passes on what belongs to the process: its streams, and what its client asks.

use std::collections::HashMap;
use std::io::BufReader;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use holm_protocol::stream::{StreamHeader, StreamKind};
use oci_spec::runtime::Process;

use super::error::SupervisorError;
use super::input::Input;
use super::output::Output;
use super::protocol::{self, Report, Request};
use crate::bundle::ExecRequest;
use crate::container::Container;
use crate::sandbox::{AgentClient, Exit, ProcessRequest, connect_stream};

/// How long a client may take to connect the streams that it asked for.
const STREAMS_TIMEOUT: Duration = Duration::from_secs(10);

/// What concerns a process that is executed.
#[derive(Debug)]
pub(super) enum ExecEvent {
    /// A stream was connected.
    Stream(StreamKind, UnixStream),
    /// Its client asks.
    Request(Request),
    /// The process ended, or the agent was lost.
    Ended(Result<Exit, crate::sandbox::AgentError>),
}

/// What the thread works with.
pub(super) struct Exec {
    pub(super) agent: AgentClient,
    pub(super) container: Container,
    /// Of a healthcheck: no event tells of it.
    pub(super) is_probe: bool,
    pub(super) vsock_socket: PathBuf,
    pub(super) process: Process,
    pub(super) request: ExecRequest,
}

impl Exec {
    /// Runs the process and tells `client`; what the returned channel gets belongs to it.
    pub(super) fn spawn(self, client: UnixStream) -> Sender<ExecEvent> {
        let (sender, events) = mpsc::channel();
        let waiting = sender.clone();
        thread::spawn(move || {
            self.note("exec_create", &[]);
            let report = match self.run(&client, &waiting, &events) {
                Ok(exit) => {
                    self.note_bare("exec_die", &[("exitCode", exit.code.to_string())]);
                    Report::Exited { code: exit.code }
                }
                Err(error) => Report::Failed { code: error.exit_code(), message: error.message() },
            };
            // A client that went away need not be told.
            let _ = protocol::send(&client, &report);
            let _ = client.shutdown(Shutdown::Both);
        });
        sender
    }

    fn run(
        &self,
        client: &UnixStream,
        sender: &Sender<ExecEvent>,
        events: &Receiver<ExecEvent>,
    ) -> Result<Exit, SupervisorError> {
        let mut streams = self.await_streams(events)?;
        self.agent.create_process(&ProcessRequest {
            id: &self.request.id,
            process: &self.process,
            stdin: self.request.stdin,
            outputs: self.request.outputs,
            tty: self.request.tty,
        })?;
        let mut outputs = Vec::new();
        for kind in self.output_kinds() {
            let mut output = Output::default();
            if let Some(connected) = streams.remove(&kind) {
                output.add(connected);
            }
            output.carry(self.connect(kind)?, None);
            outputs.push(output);
        }
        if self.request.stdin {
            let mut input = Input::new(self.request.tty);
            input.open(self.connect(StreamKind::Stdin)?);
            if let Some(connected) = streams.remove(&StreamKind::Stdin) {
                input.add(connected);
            }
        }
        self.agent.start_process(&self.request.id)?;
        self.note("exec_start", &[]);
        let _ = protocol::send(client, &Report::Started);
        hear(client, sender.clone());
        let (agent, id, ended) = (self.agent.clone(), self.request.id.clone(), sender.clone());
        thread::spawn(move || ended.send(ExecEvent::Ended(agent.wait_process(&id))));
        let result = self.await_end(events);
        for output in &mut outputs {
            output.finish();
        }
        result
    }

    /// An event that names the command, as Docker's do.
    fn note(&self, action: &str, more: &[(&str, String)]) {
        self.note_bare(&format!("{action}: {}", self.request.arguments.join(" ")), more);
    }

    fn note_bare(&self, action: &str, more: &[(&str, String)]) {
        if !self.is_probe {
            self.container.note(action, &[&[("execID", self.request.id.clone())], more].concat());
        }
    }

    fn output_kinds(&self) -> Vec<StreamKind> {
        match (self.request.outputs, self.request.tty) {
            (false, _) => Vec::new(),
            (true, true) => vec![StreamKind::Stdout],
            (true, false) => vec![StreamKind::Stdout, StreamKind::Stderr],
        }
    }

    fn await_streams(
        &self,
        events: &Receiver<ExecEvent>,
    ) -> Result<HashMap<StreamKind, UnixStream>, SupervisorError> {
        let wanted = self.output_kinds().len() + usize::from(self.request.stdin);
        let mut streams = HashMap::new();
        while streams.len() < wanted {
            match events.recv_timeout(STREAMS_TIMEOUT) {
                Ok(ExecEvent::Stream(kind, connection)) => drop(streams.insert(kind, connection)),
                Ok(_) => {}
                Err(_) => return Err(SupervisorError::Abandoned),
            }
        }
        Ok(streams)
    }

    fn await_end(&self, events: &Receiver<ExecEvent>) -> Result<Exit, SupervisorError> {
        loop {
            let outcome = match events.recv().map_err(|_| SupervisorError::Abandoned)? {
                ExecEvent::Ended(result) => return Ok(result?),
                ExecEvent::Request(Request::Signal(signal)) => {
                    self.agent.signal_process(&self.request.id, signal)
                }
                ExecEvent::Request(Request::Resize { columns, rows }) => {
                    self.agent.resize_process(&self.request.id, columns, rows)
                }
                ExecEvent::Request(_) | ExecEvent::Stream(..) => Ok(()),
            };
            if let Err(error) = outcome {
                // It may have ended meanwhile; whatever else it is, the client can do nothing about it.
                tracing::debug!(%error, "request to the agent failed");
            }
        }
    }

    fn connect(&self, kind: StreamKind) -> Result<UnixStream, SupervisorError> {
        let header = StreamHeader {
            container_id: self.agent.container_id().to_owned(),
            process_id: self.request.id.clone(),
            kind,
        };
        Ok(connect_stream(&self.vsock_socket, header)?)
    }
}

/// Passes on what the client asks. A client that goes away leaves its process running, as in Docker.
fn hear(client: &UnixStream, events: Sender<ExecEvent>) {
    let Ok(client) = client.try_clone() else { return };
    thread::spawn(move || {
        let mut reader = BufReader::new(client);
        while let Ok(Some(request)) = protocol::receive(&mut reader) {
            if events.send(ExecEvent::Request(request)).is_err() {
                return;
            }
        }
    });
}
