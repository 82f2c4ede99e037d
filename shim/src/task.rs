//! One container: its root file system, its supervisor, and the processes beside its own.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use containerd_shim_protos::types::mount::Mount;
use holm_runtime::oci::{self, CgroupForm, Client, CreateRequest, OciContainer, Status, Store};
use oci_spec::runtime::Process as Spec;

use crate::error::ShimError;
use crate::exec::Exec;
use crate::process::{Exit, Process};
use crate::rootfs::Rootfs;
use crate::streams::StreamPaths;

/// A container, for as long as containerd has not deleted it.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) container: OciContainer,
    pub(crate) bundle: PathBuf,
    pub(crate) process: Arc<Process>,
    execs: Mutex<HashMap<String, Arc<Exec>>>,
    words: Vec<String>,
    rootfs: Rootfs,
}

/// The runtime's state of a container lies in its bundle, of which containerd makes one and removes it.
pub(crate) fn root_of(bundle: &Path) -> PathBuf {
    bundle.join("holm")
}

/// Of all containers in the namespace of a bundle's: their bundles lie beside each other.
fn roots_beside(bundle: &Path) -> Vec<PathBuf> {
    let bundles = bundle.parent().and_then(|parent| std::fs::read_dir(parent).ok());
    bundles.into_iter().flatten().flatten().map(|bundle| root_of(&bundle.path())).collect()
}

impl Task {
    /// Makes it. `told` says so, with the pid, and `tell` of its end and whether memory ran out.
    pub(crate) fn create(
        id: &str,
        bundle: &Path,
        mounts: &[Mount],
        streams: StreamPaths,
        debug: bool,
        told: impl FnOnce(u32),
        tell: impl FnOnce(u32, Exit, bool) + Send + 'static,
    ) -> Result<Self, ShimError> {
        let words = words(bundle, debug);
        let rootfs = Rootfs::mount(bundle, mounts)?;
        let request = CreateRequest {
            root: root_of(bundle),
            sandbox_roots: roots_beside(bundle),
            id: id.parse()?,
            bundle: bundle.to_owned(),
            pid_file: None,
            console_socket: None,
            // A terminal is the streams'.
            foreground: true,
            preserve_fds: 0,
            root_device: rootfs.device.clone(),
            cgroup_form: CgroupForm::Either,
            global_words: words.clone(),
        };
        let (given, ends) = streams.open()?;
        holm_faults::crash!("shim.create.streams-opened");
        let created = oci::create(&request, given)?;
        let (process, container) = (Arc::new(Process::new(streams)), created.container);
        holm_faults::crash!("shim.create.made");
        let turn = process.turn();
        let pid = created.supervisor.id();
        let of = container.clone();
        process.runs_as(created.supervisor, ends, move |pid, exit| {
            tell(pid, exit, of.record().is_ok_and(|record| record.oom_killed));
        });
        told(pid);
        drop(turn);
        let execs = Mutex::default();
        holm_faults::crash!("shim.create.told");
        Ok(Self { container, bundle: bundle.to_owned(), process, execs, words, rootfs })
    }

    /// Starts its program; `told` says so.
    pub(crate) fn start(&self, told: impl FnOnce(u32)) -> Result<u32, ShimError> {
        let _turn = self.process.turn();
        Client::of(&self.container).start()?;
        holm_faults::crash!("shim.start.started");
        self.process.open_input();
        let pid = self.process.pid();
        told(pid);
        Ok(pid)
    }

    /// Starts a process beside its own.
    pub(crate) fn start_exec(
        &self,
        exec: &Exec,
        told: impl FnOnce(u32),
        tell: impl FnOnce(u32, Exit) + Send + 'static,
    ) -> Result<u32, ShimError> {
        exec.start(&self.container, root_of(&self.bundle), &self.words, told, tell)
    }

    /// Where it is in its life.
    pub(crate) fn status(&self) -> Result<Status, ShimError> {
        if self.process.exit().is_some() {
            return Ok(Status::Stopped);
        }
        let status = self.container.state()?.status;
        if status == Status::Stopped {
            // How, is known in a moment.
            self.process.wait();
        }
        Ok(status)
    }

    /// Removes what is left of it.
    pub(crate) fn delete(&self) -> Result<Exit, ShimError> {
        if self.process.exit().is_none() && self.status()? != Status::Created {
            return Err(ShimError::state("delete", self.status()?));
        }
        holm_faults::crash!("shim.delete.begin");
        oci::delete(&self.container, true)?;
        holm_faults::crash!("shim.delete.removed");
        self.rootfs.unmount();
        let exit = self.process.wait();
        self.process.end_log();
        Ok(exit)
    }

    /// Adds a process.
    pub(crate) fn add_exec(&self, id: &str, spec: Spec, streams: StreamPaths) -> Result<(), ShimError> {
        match self.execs().entry(id.to_owned()) {
            Entry::Occupied(_) => Err(ShimError::Exists(format!("process {id}"))),
            Entry::Vacant(entry) => {
                entry.insert(Arc::new(Exec::new(spec, streams)));
                Ok(())
            }
        }
    }

    /// A process that was added.
    pub(crate) fn exec(&self, id: &str) -> Result<Arc<Exec>, ShimError> {
        self.execs().get(id).cloned().ok_or_else(|| ShimError::NotFound(format!("process {id}")))
    }

    /// Its own process, which has no id, or one that was added.
    pub(crate) fn process_of(&self, exec_id: &str) -> Result<Arc<Process>, ShimError> {
        if exec_id.is_empty() {
            return Ok(Arc::clone(&self.process));
        }
        Ok(Arc::clone(&self.exec(exec_id)?.process))
    }

    /// Forgets a process that has ended, or was never started.
    pub(crate) fn delete_exec(&self, id: &str) -> Result<(u32, Exit), ShimError> {
        let process = self.process_of(id)?;
        let turn = process.turn();
        if process.pid() == 0 {
            process.end(Exit::with(0));
        }
        drop(turn);
        let exit = process.exit().ok_or(ShimError::State("cannot delete a running process"))?;
        process.end_log();
        self.execs().remove(id);
        Ok((process.pid(), exit))
    }

    fn execs(&self) -> MutexGuard<'_, HashMap<String, Arc<Exec>>> {
        self.execs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A container whose shim is gone.
pub(crate) fn left_in(bundle: &Path, id: &str) -> Result<OciContainer, ShimError> {
    Ok(Store::at(root_of(bundle)).find(id.parse()?)?)
}

/// The words that make another process of this program log where this one does.
fn words(bundle: &Path, debug: bool) -> Vec<String> {
    let mut words = vec!["--bundle".to_owned(), bundle.to_string_lossy().into_owned()];
    if debug {
        words.push("--debug".to_owned());
    }
    words
}
