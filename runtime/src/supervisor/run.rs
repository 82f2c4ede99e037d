//! The supervisor's main thread: from a created container to its end.
//!
//! ```text
//!   ┌──> boot VM ──> agent connects ──> create container ──> attach streams ──> (client: start) ──> running
//!   │       │               │                  │                                      │               │
//!   │       └───────────────┴── failure: state and clients told, VM killed ───────────┘   workload or VM ends
//!   │                                                                                                 │
//!   └── restart policy: a pause ──────────────────────────────────────────────────────────────────────┤
//!                                                                                                     │
//!                                        output delivered, layer synced, VM gone, state written, clients told
//! ```

use std::collections::HashMap;
use std::fs;
use std::mem::take;
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use holm_protocol::stream::StreamKind;
use holm_protocol::vm_config::DiskRates;
use time::OffsetDateTime;

use super::clients::{self, ControlClients};
use super::error::SupervisorError;
use super::event::{Event, Life};
use super::exec::ExecEvent;
use super::input::Input;
use super::life::Vm;
use super::output::Output;
use super::protocol::Report;
use super::restart::Restarts;
use super::stop::Stop;
use crate::checkpoint::CheckpointPlace;
use crate::container::{Container, ContainerId, ContainerStore, State, Status};
use crate::durable::{self, Durability};
use crate::file_error::failed;
use crate::host::Directories;
use crate::image::ImageStore;
use crate::sandbox::Exit;
use crate::volume::VolumeStore;

/// Runs the container to its end, from its checkpoint of this name if there is one. `listener` takes clients; it was bound by whoever started this process, which also handed
/// over the container's lock.
///
/// # Errors
/// What kept the workload from running; clients and the state have been told.
pub fn run(
    id: ContainerId,
    listener: UnixListener,
    checkpoint: Option<CheckpointPlace>,
) -> Result<(), SupervisorError> {
    let mut supervisor = Supervisor::new(id, listener)?;
    supervisor.goes_on_from = checkpoint;
    loop {
        let result = supervisor.live();
        match supervisor.pause_before_restart(&result) {
            Some(pause) if supervisor.rest(&result, pause)? => {}
            _ => return supervisor.end(result),
        }
    }
}

/// How long to look for the connection of whoever started this process; it was made before this process was.
const FIRST_CLIENT_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct Supervisor {
    pub(super) store: ContainerStore,
    pub(super) container: Container,
    pub(super) events: Receiver<Event>,
    pub(super) sender: Sender<Event>,
    pub(super) clients: ControlClients,
    pub(super) input: Input,
    pub(super) outputs: HashMap<StreamKind, Output>,
    pub(super) start_asked: bool,
    /// By a user: the restart policy does not apply.
    pub(super) stop_asked: bool,
    pub(super) stop: Option<Stop>,
    /// Threads of `holm exec`, by process id.
    pub(super) execs: HashMap<String, Sender<ExecEvent>>,
    pub(super) restarts: Restarts,
    /// The checkpoint with which its first life begins.
    pub(super) goes_on_from: Option<CheckpointPlace>,
    /// Held by whoever makes a checkpoint.
    pub(super) saving: Arc<Mutex<()>>,
    pub(super) life: Life,
    pub(super) vm: Vm,
    /// Whether this is all that it does, and can be asked for.
    pub(super) serves_files: bool,
    /// Whether the container ran when it was started earlier.
    pub(super) ran_before: bool,
    pub(super) state: State,
}

impl Supervisor {
    /// Opens the container and takes clients from now on.
    pub(super) fn new(id: ContainerId, listener: UnixListener) -> Result<Self, SupervisorError> {
        holm_faults::crash!("supervisor.begin");
        let store = ContainerStore::new(Directories::from_environment());
        let container = store.open(id)?;
        let state = container.state()?;
        let (sender, events) = mpsc::channel();
        let accepting = sender.clone();
        thread::spawn(move || clients::accept(&listener, &accepting));
        let kinds: &[StreamKind] = if container.record.settings.tty {
            &[StreamKind::Stdout]
        } else {
            &[StreamKind::Stdout, StreamKind::Stderr]
        };
        Ok(Self {
            store,
            events,
            sender,
            clients: ControlClients::default(),
            input: Input::new(container.record.settings.tty),
            outputs: kinds.iter().map(|kind| (*kind, Output::default())).collect(),
            start_asked: false,
            stop_asked: false,
            stop: None,
            execs: HashMap::new(),
            restarts: Restarts::default(),
            goes_on_from: None,
            saving: Arc::default(),
            life: Life::default(),
            vm: Vm::default(),
            serves_files: false,
            ran_before: state.started_at.is_some(),
            state,
            container,
        })
    }

    pub(super) fn run_directory(&self) -> std::path::PathBuf {
        self.store.directories().run_of(self.container.id.as_str())
    }

    pub(super) fn write_state(&self) -> Result<(), SupervisorError> {
        Ok(self.container.write_state(&self.state)?)
    }

    /// How long to wait before the restart policy starts the workload again; `None` when it does not.
    fn pause_before_restart(&mut self, result: &Result<Exit, SupervisorError>) -> Option<Duration> {
        let ran = self.vm.started?.elapsed();
        let code = result.as_ref().map_or_else(SupervisorError::exit_code, |exit| exit.code);
        let policy = self.container.restart_policy();
        if self.stop_asked || !policy.applies(code, self.restarts.in_a_row) {
            return None;
        }
        Some(self.restarts.pause_after(ran))
    }

    /// Ends this life of the container and waits before the next; false when it was stopped meanwhile.
    fn rest(
        &mut self,
        result: &Result<Exit, SupervisorError>,
        pause: Duration,
    ) -> Result<bool, SupervisorError> {
        self.end_life(result);
        self.note_end(result, Status::Restarting);
        self.state.restart_count = self.restarts.count;
        self.write_state()?;
        self.note_death(result);
        self.clients.tell(&report_of(result));
        self.release_networks();
        self.life.0 += 1;
        self.vm = Vm::default();
        self.clear_sockets()?;
        let until = Instant::now() + pause;
        while !self.stop_asked {
            match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(event) => self.handle(event)?,
                Err(_) => return Ok(true),
            }
        }
        Ok(false)
    }

    /// The VM's sockets of this life; the next one makes its own.
    fn clear_sockets(&self) -> Result<(), SupervisorError> {
        let directory = self.run_directory();
        let failed = failed("write", &directory);
        for entry in fs::read_dir(&directory).map_err(failed)?.flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(b"vsock") {
                durable::remove(&entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Ends the VM in order, or kills it where something failed. All output was delivered afterwards.
    fn end_life(&mut self, result: &Result<Exit, SupervisorError>) {
        // A layer that is about to be deleted need not be synced; what the guest has yet to write to the host's files does.
        if self.leaves_files() && result.is_ok() && !self.vm.is_saved {
            self.shut_down();
        }
        if result.is_err() {
            self.kill();
        }
        self.input.close();
        for output in self.outputs.values_mut() {
            output.drain();
        }
        self.kill();
        if self.leaves_files() {
            // Nobody may find the container ended while its VMM can still write to its layer or volumes.
            self.hear_last_words();
        }
    }

    /// Whether anything that the VMM writes to is there after the container's end.
    fn leaves_files(&self) -> bool {
        self.container.record.settings.durability() == Durability::Lasting
    }

    /// Lets the guest write what it has to, as fast as it can: nobody limited how long an end may take.
    pub(super) fn shut_down(&self) {
        if let (Some(sandbox), Some(agent)) = (&self.vm.sandbox, &self.vm.agent) {
            let has_rates = self.container.settings().is_ok_and(|settings| !settings.device_rates.is_empty());
            if has_rates && let Err(error) = sandbox.vmm.control.set_disk_rates(None, DiskRates::default()) {
                tracing::warn!(%error, "the guest's disks keep their rates");
            }
            holm_faults::crash!("supervisor.end.shut-down");
            if let Err(error) = agent.shutdown() {
                tracing::warn!(%error, "the guest did not shut down in order");
            }
        }
    }

    /// Everything after the last life: the order makes a crash in between harmless.
    fn end(mut self, result: Result<Exit, SupervisorError>) -> Result<(), SupervisorError> {
        if result.is_err() {
            self.await_first_client();
        }
        self.end_life(&result);
        holm_faults::crash!("supervisor.end.vm-ended");
        for output in self.outputs.values_mut() {
            output.finish();
        }
        let cleaned = self.settle(&result);
        if result.is_err() || self.leaves_files() {
            self.hear_last_words();
        }
        holm_faults::crash!("supervisor.end.settled");
        self.close_ports();
        self.clients.tell(&report_of(&result));
        self.clients.close();
        holm_faults::crash!("supervisor.end.told");
        // Nobody waits for that but who needs the container's lock: a VMM that was killed takes a while to give memory and
        // interfaces back.
        self.hear_last_words();
        self.release_networks();
        holm_faults::crash!("supervisor.end.networks-released");
        self.collect_images();
        cleaned?;
        result.map(|_| ())
    }

    /// What fails at once, such as a port that is taken, fails before the first client is taken in.
    fn await_first_client(&mut self) {
        let until = Instant::now() + FIRST_CLIENT_TIMEOUT;
        while self.clients.is_empty() && self.vm.started.is_none() {
            match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                // The failure that is known is the one to tell.
                Ok(event) => drop(self.handle(event)),
                Err(_) => return,
            }
        }
    }

    /// Writes the final state, or removes the container.
    fn settle(&mut self, result: &Result<Exit, SupervisorError>) -> Result<(), SupervisorError> {
        if self.container.record.settings.auto_remove {
            self.note_death(result);
            self.store.remove(&self.container)?;
            holm_faults::crash!("supervisor.settle.removed");
            let volumes = VolumeStore::new(self.store.directories().clone());
            return Ok(volumes.remove_anonymous(&self.container, &self.store)?);
        }
        let ran = self.vm.started.is_some() || self.restarts.count > 0;
        self.note_end(result, if ran || self.ran_before { Status::Exited } else { Status::Created });
        self.write_state()?;
        holm_faults::crash!("supervisor.settle.written");
        self.note_death(result);
        holm_faults::fault!("supervisor.settle.run-directory")
            .and_then(|()| durable::remove(&self.run_directory()))
            .map_err(failed("write", &self.run_directory()))?;
        Ok(())
    }

    /// An image that was removed by force goes with the last container that had it. Nobody waits for that.
    fn collect_images(&self) {
        if !self.container.record.settings.auto_remove {
            return;
        }
        let images = ImageStore::open(self.store.directories().root());
        if let Err(error) = images.and_then(|images| images.collect(&|id| self.store.users_of(id))) {
            // The next removal tries again.
            tracing::warn!(%error, "cannot delete images that were removed");
        }
    }

    fn note_end(&mut self, result: &Result<Exit, SupervisorError>, status: Status) {
        self.state.status = status;
        self.state.pid = 0;
        self.state.vm_cpus = 0;
        let memory_mib = take(&mut self.state.vm_memory_mib);
        if status != Status::Restarting {
            self.state.supervisor_pid = 0;
        }
        match result {
            Ok(exit) => {
                self.state.exit_code = exit.code.into();
                self.state.oom_killed = exit.oom_killed;
                if exit.vm_exhausted {
                    self.state.error = format!(
                        "killed for memory: all {memory_mib} MiB of the VM were in use, below any limit of the container \
                         (-m or --vm-memory give it more)"
                    );
                }
            }
            Err(error) => {
                self.state.exit_code = error.exit_code().into();
                self.state.error = error.message();
            }
        }
        if self.vm.started.is_some() {
            self.state.finished_at = Some(OffsetDateTime::now_utc());
        }
    }
}

fn report_of(result: &Result<Exit, SupervisorError>) -> Report {
    match result {
        Ok(exit) => Report::Exited { code: exit.code },
        Err(error) => Report::Failed { code: error.exit_code(), message: error.message() },
    }
}
