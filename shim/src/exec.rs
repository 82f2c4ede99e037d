//! One more process in a container.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use holm_runtime::oci::{self, Client, ExecRequest, OciContainer};
use oci_spec::runtime::Process as Spec;

use crate::error::ShimError;
use crate::process::{Exit, Process};
use crate::streams::StreamPaths;

/// A process that was added, and may have been started.
#[derive(Debug)]
pub(crate) struct Exec {
    pub(crate) process: Arc<Process>,
    spec: Spec,
    /// What the container's supervisor calls it, once it was started.
    name: Mutex<Option<String>>,
}

impl Exec {
    /// Added, not started.
    pub(crate) fn new(mut spec: Spec, streams: StreamPaths) -> Self {
        spec.set_terminal(Some(streams.terminal));
        Self { process: Arc::new(Process::new(streams)), spec, name: Mutex::default() }
    }

    /// Starts it; `told` says so, and `tell` of its end.
    pub(crate) fn start(
        &self,
        container: &OciContainer,
        root: PathBuf,
        words: &[String],
        told: impl FnOnce(u32),
        tell: impl FnOnce(u32, Exit) + Send + 'static,
    ) -> Result<u32, ShimError> {
        let turn = self.process.turn();
        if self.process.pid() != 0 || self.process.exit().is_some() {
            return Err(ShimError::State("the process was started before"));
        }
        let request = ExecRequest {
            root,
            id: container.id.to_string(),
            process: self.spec.clone(),
            console_socket: None,
            pid_file: None,
        };
        let executed = self
            .process
            .streams
            .open()
            .and_then(|(streams, ends)| Ok((oci::execute_detached(&request, words, streams)?, ends)));
        holm_faults::crash!("shim.exec.started");
        let (executed, ends) = executed.inspect_err(|_| self.process.end(Exit::with(NEVER)))?;
        *self.name() = Some(executed.process);
        let pid = executed.holder.id();
        self.process.runs_as(executed.holder, ends, tell);
        self.process.open_input();
        told(pid);
        drop(turn);
        Ok(pid)
    }

    /// Sends it a signal.
    pub(crate) fn kill(&self, container: &OciContainer, signal: i32) -> Result<(), ShimError> {
        let name = self.running()?;
        Ok(Client::of(container).signal_process(&name, signal)?)
    }

    /// Gives its terminal another size.
    pub(crate) fn resize(&self, container: &OciContainer, columns: u16, rows: u16) -> Result<(), ShimError> {
        let name = self.running()?;
        Ok(Client::of(container).resize(&name, columns, rows)?)
    }

    fn running(&self) -> Result<String, ShimError> {
        if self.process.exit().is_some() {
            return Err(ShimError::NotFound("process that has finished".to_owned()));
        }
        self.name().clone().ok_or(ShimError::State("the process was not started"))
    }

    fn name(&self) -> MutexGuard<'_, Option<String>> {
        self.name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The status of one that could not be started.
const NEVER: u32 = 255;
