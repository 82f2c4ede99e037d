//! The task API, call by call: finds what is asked about, has it done, and tells of it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use containerd_shim_protos::Task as TaskApi;
use containerd_shim_protos::api::{
    CheckpointTaskRequest, CloseIORequest, ConnectRequest, ConnectResponse, CreateTaskRequest,
    CreateTaskResponse, DeleteRequest, DeleteResponse, Empty, ExecProcessRequest, KillRequest, PauseRequest,
    PidsRequest, PidsResponse, ProcessInfo, ResizePtyRequest, ResumeRequest, ShutdownRequest, StartRequest,
    StartResponse, StateRequest, StateResponse, StatsRequest, StatsResponse, Status as TaskStatus,
    UpdateTaskRequest, WaitRequest, WaitResponse,
};
use containerd_shim_protos::events::task::{
    TaskCreate, TaskDelete, TaskExecAdded, TaskExecStarted, TaskExit, TaskIO, TaskOOM, TaskPaused,
    TaskResumed, TaskStart,
};
use holm_runtime::oci::{Client, OciError, Status};
use nix::libc::SIGKILL;
use protobuf::MessageField;
use serde::de::DeserializeOwned;
use ttrpc::TtrpcContext;

use crate::error::ShimError;
use crate::events::{Publisher, any, timestamp};
use crate::metrics;
use crate::process::{Exit, Process};
use crate::streams::StreamPaths;
use crate::task::Task;

/// All tasks of a shim.
#[derive(Debug)]
pub(crate) struct Service {
    tasks: Mutex<HashMap<String, Arc<Task>>>,
    events: Publisher,
    debug: bool,
    end: Sender<()>,
}

/// How long a process that was killed may take, with what its guest has yet to write.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// The process of a container that has no id of its own.
const OWN: &str = "";

impl Service {
    /// Without tasks. `end` hears when containerd wants it gone.
    pub(crate) fn new(events: Publisher, debug: bool, end: Sender<()>) -> Self {
        Self { tasks: Mutex::default(), events, debug, end }
    }

    fn tasks(&self) -> MutexGuard<'_, HashMap<String, Arc<Task>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn task(&self, id: &str) -> Result<Arc<Task>, ShimError> {
        self.tasks().get(id).cloned().ok_or_else(|| ShimError::NotFound(format!("container {id}")))
    }

    fn make(&self, request: &CreateTaskRequest) -> Result<u32, ShimError> {
        if !request.checkpoint.is_empty() {
            return Err(no_checkpoints());
        }
        if self.tasks().contains_key(&request.id) {
            return Err(ShimError::Exists(format!("container {}", request.id)));
        }
        let streams = StreamPaths {
            stdin: request.stdin.clone(),
            stdout: request.stdout.clone(),
            stderr: request.stderr.clone(),
            terminal: request.terminal,
            id: request.id.clone(),
            namespace: self.events.namespace().to_owned(),
        };
        let told = |pid| self.events.publish(&created(request, pid));
        let (events, id) = (self.events.clone(), request.id.clone());
        let tell = move |pid, exit, oom_killed| {
            if oom_killed {
                let mut event = TaskOOM::new();
                event.container_id.clone_from(&id);
                events.publish(&event);
            }
            events.publish(&exited(&id, &id, pid, exit));
        };
        let bundle = Path::new(&request.bundle);
        let task = Task::create(&request.id, bundle, &request.rootfs, streams, self.debug, told, tell)?;
        let pid = task.process.pid();
        self.tasks().insert(request.id.clone(), Arc::new(task));
        Ok(pid)
    }

    fn begin(&self, request: &StartRequest) -> Result<u32, ShimError> {
        let (id, exec_id) = (&request.id, &request.exec_id);
        let task = self.task(id)?;
        if exec_id == OWN {
            return task.start(|pid| {
                let mut event = TaskStart::new();
                (event.container_id, event.pid) = (id.clone(), pid);
                self.events.publish(&event);
            });
        }
        let told = |pid| {
            let mut event = TaskExecStarted::new();
            (event.container_id, event.exec_id, event.pid) = (id.clone(), exec_id.clone(), pid);
            self.events.publish(&event);
        };
        let (events, of, process) = (self.events.clone(), id.clone(), exec_id.clone());
        let tell = move |pid, exit| events.publish(&exited(&of, &process, pid, exit));
        task.start_exec(task.exec(exec_id)?.as_ref(), told, tell)
    }

    fn remove(&self, request: &DeleteRequest) -> Result<(u32, Exit), ShimError> {
        let (id, exec_id) = (&request.id, &request.exec_id);
        let task = self.task(id)?;
        if exec_id != OWN {
            return task.delete_exec(exec_id);
        }
        let exit = task.delete()?;
        self.tasks().remove(id);
        let pid = task.process.pid();
        let mut event = TaskDelete::new();
        (event.container_id, event.pid) = (id.clone(), pid);
        (event.exit_status, event.exited_at) = (exit.status, Some(timestamp(exit.at)).into());
        self.events.publish(&event);
        Ok((pid, exit))
    }

    fn look(&self, request: &StateRequest) -> Result<StateResponse, ShimError> {
        let task = self.task(&request.id)?;
        let process = task.process_of(&request.exec_id)?;
        let status = if request.exec_id == OWN { task.status()? } else { status_of(&process) };
        let mut state = StateResponse::new();
        state.id.clone_from(&request.id);
        state.exec_id.clone_from(&request.exec_id);
        state.bundle = task.bundle.to_string_lossy().into_owned();
        state.pid = process.pid();
        state.status = match status {
            Status::Creating | Status::Created => TaskStatus::CREATED,
            Status::Running => TaskStatus::RUNNING,
            Status::Paused => TaskStatus::PAUSED,
            Status::Stopped => TaskStatus::STOPPED,
        }
        .into();
        let StreamPaths { stdin, stdout, stderr, terminal, .. } = process.streams.clone();
        (state.stdin, state.stdout, state.stderr, state.terminal) = (stdin, stdout, stderr, terminal);
        if let Some(exit) = process.exit() {
            (state.exit_status, state.exited_at) = (exit.status, Some(timestamp(exit.at)).into());
        }
        Ok(state)
    }

    fn signal(&self, request: &KillRequest) -> Result<(), ShimError> {
        let task = self.task(&request.id)?;
        let signal = i32::try_from(request.signal).map_err(|_| ShimError::Invalid("no such signal"))?;
        if signal == SIGKILL {
            task.process_of(&request.exec_id)?.ends_within(KILL_TIMEOUT);
        }
        if request.exec_id != OWN {
            return task.exec(&request.exec_id)?.kill(&task.container, signal);
        }
        match Client::of(&task.container).kill(signal, request.all) {
            // Which is what was asked for.
            Err(OciError::Died) if signal == SIGKILL => Ok(()),
            done => Ok(done?),
        }
    }

    fn add(&self, request: &ExecProcessRequest) -> Result<(), ShimError> {
        let spec = decode("the process", &request.spec)?;
        let streams = StreamPaths {
            stdin: request.stdin.clone(),
            stdout: request.stdout.clone(),
            stderr: request.stderr.clone(),
            terminal: request.terminal,
            // As under runc.
            id: request.exec_id.clone(),
            namespace: self.events.namespace().to_owned(),
        };
        self.task(&request.id)?.add_exec(&request.exec_id, spec, streams)?;
        let mut event = TaskExecAdded::new();
        (event.container_id, event.exec_id) = (request.id.clone(), request.exec_id.clone());
        self.events.publish(&event);
        Ok(())
    }

    fn resize(&self, request: &ResizePtyRequest) -> Result<(), ShimError> {
        let task = self.task(&request.id)?;
        let characters =
            |n: u32| u16::try_from(n).map_err(|_| ShimError::Invalid("no terminal is of that size"));
        let (columns, rows) = (characters(request.width)?, characters(request.height)?);
        if request.exec_id != OWN {
            return task.exec(&request.exec_id)?.resize(&task.container, columns, rows);
        }
        Ok(Client::of(&task.container).resize(OWN, columns, rows)?)
    }

    fn list(&self, id: &str) -> Result<Vec<ProcessInfo>, ShimError> {
        let info = |pid| {
            let mut info = ProcessInfo::new();
            info.pid = pid;
            info
        };
        Ok(self.task(id)?.container.host_processes()?.into_iter().map(info).collect())
    }

    fn measure(&self, id: &str) -> Result<StatsResponse, ShimError> {
        let task = self.task(id)?;
        let record = task.container.record()?;
        let metrics = if record.is_in_anothers_vm() {
            metrics::of_guest(&Client::of(&task.container).usage()?)
        } else {
            let none = || ShimError::Impossible("metrics need cgroup v2".to_owned());
            metrics::read(&record.cgroup.ok_or_else(none)?)?
        };
        let mut response = StatsResponse::new();
        response.stats = Some(any(&metrics)).into();
        Ok(response)
    }

    fn change(&self, request: &UpdateTaskRequest) -> Result<(), ShimError> {
        let change = decode("the limits", &request.resources)?;
        Ok(Client::of(&self.task(&request.id)?.container).update(&change)?)
    }
}

impl TaskApi for Service {
    fn state(&self, _: &TtrpcContext, request: StateRequest) -> ttrpc::Result<StateResponse> {
        Ok(self.look(&request)?)
    }

    fn create(&self, _: &TtrpcContext, request: CreateTaskRequest) -> ttrpc::Result<CreateTaskResponse> {
        let mut response = CreateTaskResponse::new();
        response.pid = self.make(&request)?;
        Ok(response)
    }

    fn start(&self, _: &TtrpcContext, request: StartRequest) -> ttrpc::Result<StartResponse> {
        let mut response = StartResponse::new();
        response.pid = self.begin(&request)?;
        Ok(response)
    }

    fn delete(&self, _: &TtrpcContext, request: DeleteRequest) -> ttrpc::Result<DeleteResponse> {
        let (pid, exit) = self.remove(&request)?;
        let mut response = DeleteResponse::new();
        (response.pid, response.exit_status) = (pid, exit.status);
        response.exited_at = Some(timestamp(exit.at)).into();
        Ok(response)
    }

    fn pids(&self, _: &TtrpcContext, request: PidsRequest) -> ttrpc::Result<PidsResponse> {
        let mut response = PidsResponse::new();
        response.processes = self.list(&request.id)?;
        Ok(response)
    }

    fn pause(&self, _: &TtrpcContext, request: PauseRequest) -> ttrpc::Result<Empty> {
        let task = self.task(&request.id)?;
        Client::of(&task.container).pause().map_err(ShimError::from)?;
        let mut event = TaskPaused::new();
        event.container_id = request.id;
        self.events.publish(&event);
        Ok(Empty::new())
    }

    fn resume(&self, _: &TtrpcContext, request: ResumeRequest) -> ttrpc::Result<Empty> {
        let task = self.task(&request.id)?;
        Client::of(&task.container).resume().map_err(ShimError::from)?;
        let mut event = TaskResumed::new();
        event.container_id = request.id;
        self.events.publish(&event);
        Ok(Empty::new())
    }

    fn checkpoint(&self, _: &TtrpcContext, _: CheckpointTaskRequest) -> ttrpc::Result<Empty> {
        Err(no_checkpoints().into())
    }

    fn kill(&self, _: &TtrpcContext, request: KillRequest) -> ttrpc::Result<Empty> {
        self.signal(&request)?;
        Ok(Empty::new())
    }

    fn exec(&self, _: &TtrpcContext, request: ExecProcessRequest) -> ttrpc::Result<Empty> {
        self.add(&request)?;
        Ok(Empty::new())
    }

    fn resize_pty(&self, _: &TtrpcContext, request: ResizePtyRequest) -> ttrpc::Result<Empty> {
        self.resize(&request)?;
        Ok(Empty::new())
    }

    fn close_io(&self, _: &TtrpcContext, request: CloseIORequest) -> ttrpc::Result<Empty> {
        let process = self.task(&request.id)?.process_of(&request.exec_id)?;
        if request.stdin {
            process.close_input();
        }
        Ok(Empty::new())
    }

    fn update(&self, _: &TtrpcContext, request: UpdateTaskRequest) -> ttrpc::Result<Empty> {
        self.change(&request)?;
        Ok(Empty::new())
    }

    fn wait(&self, _: &TtrpcContext, request: WaitRequest) -> ttrpc::Result<WaitResponse> {
        let process = self.task(&request.id)?.process_of(&request.exec_id)?;
        let exit = process.wait();
        let mut response = WaitResponse::new();
        (response.exit_status, response.exited_at) = (exit.status, Some(timestamp(exit.at)).into());
        Ok(response)
    }

    fn stats(&self, _: &TtrpcContext, request: StatsRequest) -> ttrpc::Result<StatsResponse> {
        Ok(self.measure(&request.id)?)
    }

    fn connect(&self, _: &TtrpcContext, request: ConnectRequest) -> ttrpc::Result<ConnectResponse> {
        let mut response = ConnectResponse::new();
        response.shim_pid = std::process::id();
        // Before it was made it has none.
        response.task_pid = self.task(&request.id).map(|task| task.process.pid()).unwrap_or_default();
        env!("CARGO_PKG_VERSION").clone_into(&mut response.version);
        Ok(response)
    }

    fn shutdown(&self, _: &TtrpcContext, request: ShutdownRequest) -> ttrpc::Result<Empty> {
        if request.now || self.tasks().is_empty() {
            // It was told before.
            let _ = self.end.send(());
        }
        Ok(Empty::new())
    }
}

/// Where an executed process is in its life.
fn status_of(process: &Process) -> Status {
    match (process.exit(), process.pid()) {
        (Some(_), _) => Status::Stopped,
        (None, 0) => Status::Created,
        (None, _) => Status::Running,
    }
}

fn no_checkpoints() -> ShimError {
    ShimError::Impossible(
        "checkpoints are not supported: a container in a VM cannot be saved by CRIU".to_owned(),
    )
}

fn created(request: &CreateTaskRequest, pid: u32) -> TaskCreate {
    let mut io = TaskIO::new();
    (io.stdin, io.stdout) = (request.stdin.clone(), request.stdout.clone());
    (io.stderr, io.terminal) = (request.stderr.clone(), request.terminal);
    let mut event = TaskCreate::new();
    (event.container_id, event.bundle) = (request.id.clone(), request.bundle.clone());
    (event.io, event.pid) = (Some(io).into(), pid);
    event
}

/// containerd gives the id of the container for its own process.
fn exited(container: &str, process: &str, pid: u32, exit: Exit) -> TaskExit {
    let mut event = TaskExit::new();
    (event.container_id, event.id) = (container.to_owned(), process.to_owned());
    (event.pid, event.exit_status) = (pid, exit.status);
    event.exited_at = Some(timestamp(exit.at)).into();
    event
}

/// A type of the runtime specification, which containerd packs as JSON.
fn decode<T: DeserializeOwned>(
    what: &'static str,
    packed: &MessageField<protobuf::well_known_types::any::Any>,
) -> Result<T, ShimError> {
    let json = packed.as_ref().map(|any| any.value.as_slice()).unwrap_or_default();
    serde_json::from_slice(json).map_err(|source| ShimError::Request { what, source })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use oci_spec::runtime::LinuxResources;
    use protobuf::well_known_types::any::Any;

    use super::*;

    #[test]
    fn a_shim_goes_when_it_has_no_tasks_and_is_told_to() {
        let (end, ended) = mpsc::channel();
        let service = Service::new(Publisher::to(None, "default"), false, end);
        assert!(matches!(service.task("box"), Err(ShimError::NotFound(_))));
        assert!(ended.try_recv().is_err());
        let mut gone = CreateTaskRequest::new();
        (gone.id, gone.bundle) = ("box".to_owned(), "/nonexistent".to_owned());
        assert!(matches!(service.make(&gone), Err(ShimError::Oci(OciError::Read { .. }))));
        gone.checkpoint = "sha256:1".to_owned();
        assert!(matches!(service.make(&gone), Err(ShimError::Impossible(_))));
        assert!(service.tasks().is_empty());
    }

    #[test]
    fn limits_come_as_json() {
        let mut any = Any::new();
        any.value = br#"{"memory": {"limit": 4096}, "cpu": {"shares": 2}}"#.to_vec();
        let limits: LinuxResources = decode("the limits", &MessageField::some(any)).unwrap();
        assert_eq!(limits.memory().as_ref().and_then(|memory| memory.limit()), Some(4096));
        let nothing = decode::<LinuxResources>("the limits", &MessageField::none());
        assert_eq!(nothing.unwrap_err().to_string(), "the limits of the request cannot be read");
    }
}
