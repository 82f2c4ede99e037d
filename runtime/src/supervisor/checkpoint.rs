//! `holm checkpoint create`, and the first half of `holm fork`: the running container is saved.
//!
//! ```text
//!   processes frozen, layer written back ──> VMM saves itself ──> layer copied ──┬──> VM goes on, processes thawed ──> named
//!                                                                                └──> named ──> VM ends
//! ```
//!
//! On a thread of its own. Whatever fails on the way, the container goes on. It has its networks all the time: what the guest
//! sends or is sent while it stands still waits or is lost, as on any wire.

use std::os::unix::net::UnixStream;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use holm_protocol::vm_control::SaveScope;
use time::OffsetDateTime;

use super::error::SupervisorError;
use super::event::{Event, Life};
use super::net::{Networks, lock};
use super::protocol::{self, CheckpointRequest, Report};
use super::run::Supervisor;
use crate::checkpoint::{About, CheckpointPlace, Checkpoints, Draft};
use crate::container::{Container, Status};
use crate::host::Installation;
use crate::network::NetworkError;
use crate::sandbox::{AgentClient, Exit, VmShape, VmmControl, template_platform};

/// What a container ends with that is stopped after its checkpoint: as if it was killed, as in Docker.
const SAVED: Exit = Exit { code: 137, oom_killed: false, vm_exhausted: false };

/// All that it takes.
struct Saving {
    container: Container,
    owner: Container,
    request: CheckpointRequest,
    agent: AgentClient,
    control: Arc<VmmControl>,
    networks: Option<Arc<Mutex<Networks>>>,
    shape: VmShape,
    /// One at a time.
    turn: Arc<Mutex<()>>,
    main: (Life, Sender<Event>),
}

impl Supervisor {
    /// Saves the container and tells the client how that went.
    pub(super) fn checkpoint(&self, request: CheckpointRequest, client: UnixStream) {
        let saving = self.saving(request);
        thread::spawn(move || {
            let done = saving.and_then(|saving| saving.save());
            let report =
                done.map_or_else(|error| Report::Refused { message: error.message() }, |()| Report::Done);
            // A client that went away need not be told.
            let _ = protocol::send(&client, &report);
        });
    }

    fn saving(&self, request: CheckpointRequest) -> Result<Saving, SupervisorError> {
        let container = self.container.id.short().to_owned();
        let refused = |reason| SupervisorError::NotSavable { container: container.clone(), reason };
        let (Status::Running, Some(_), Some(agent), Some(sandbox)) =
            (self.state.status, self.vm.started, &self.vm.agent, &self.vm.sandbox)
        else {
            return Err(refused(match self.state.status {
                Status::Paused => "it is paused",
                _ => "it is not running",
            }));
        };
        let settings = &self.container.record.settings;
        if !settings.mounts.is_empty() {
            return Err(refused("it has volumes or bind mounts, whose data are not the container's"));
        }
        if settings.auto_remove && !request.leave_running {
            return Err(refused(
                "it is removed at its end, with its checkpoints (--leave-running lets it run)",
            ));
        }
        Ok(Saving {
            container: self.container.clone(),
            owner: self.store.open(request.owner.clone())?,
            request,
            agent: agent.clone(),
            control: Arc::clone(&sandbox.vmm.control),
            networks: self.vm.network.as_ref().map(|networking| Arc::clone(&networking.networks)),
            shape: sandbox.shape,
            turn: Arc::clone(&self.saving),
            main: (self.life, self.sender.clone()),
        })
    }

    /// The VM went into a checkpoint, and this is its end.
    pub(super) fn end_saved(&mut self) {
        self.stop_asked = true;
        self.vm.is_saved = true;
        self.kill();
        self.vm.exit = Some(Ok(SAVED));
    }
}

impl Saving {
    fn save(&self) -> Result<(), SupervisorError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // Nothing is plugged in or out meanwhile.
        let networks = self.networks.as_deref().map(lock);
        let installation = Installation::find()?;
        let mut about = About {
            created: OffsetDateTime::now_utc(),
            image: self.container.record.image_id.clone(),
            platform: template_platform(&installation).map_err(SupervisorError::Platform)?,
            shape: self.shape,
            guest_id: self.agent.container_id().to_owned(),
            network_slots: Vec::new(),
            serves_names: false,
            layer_sha256: None,
        };
        if let Some(networks) = &networks {
            if networks.is_released {
                return Err(SupervisorError::Abandoned);
            }
            let changeable = networks.attachment.check_changeable();
            changeable.map_err(|_| NetworkError::Rootless("a checkpoint of a container with a network"))?;
            about.network_slots = networks.attachment.joined().iter().map(|joined| joined.slot).collect();
            about.serves_names = networks.has_names();
        }
        let CheckpointPlace { name, directory } = &self.request.place;
        let draft = Checkpoints::at(&self.owner, directory.as_deref()).begin(name)?;
        holm_faults::crash!("checkpoint.freeze");
        let frozen = self.agent.freeze_and_sync().map_err(SupervisorError::from);
        let saved = frozen
            .and_then(|()| Ok(self.control.save(SaveScope::Everything, &draft.state, &draft.memory)?));
        if let Err(error) = saved {
            // Also where only writing back failed: it is frozen then.
            self.agent.thaw()?;
            return Err(error);
        }
        holm_faults::crash!("checkpoint.saved");
        let copied = draft.copy_layer(&self.container.layer());
        if self.request.leave_running {
            self.go_on()?;
            holm_faults::crash!("checkpoint.went-on");
            copied?;
            return Ok(self.finish(draft, about)?);
        }
        if let Err(error) = copied.and_then(|()| self.finish(draft, about)) {
            self.go_on()?;
            return Err(error.into());
        }
        let (life, main) = &self.main;
        holm_faults::crash!("checkpoint.finished");
        // A supervisor at its end ends the VM anyway.
        let _ = main.send(Event::Saved(*life));
        Ok(())
    }

    fn go_on(&self) -> Result<(), SupervisorError> {
        self.control.go_on()?;
        Ok(self.agent.thaw()?)
    }

    fn finish(&self, draft: Draft, about: About) -> Result<(), crate::checkpoint::CheckpointError> {
        draft.finish(about)?;
        if self.request.place.name.is_fork() {
            self.container.note("fork", &[("fork", self.owner.id.to_string())]);
        } else {
            self.container.note("checkpoint", &[("checkpoint", self.request.place.name.to_string())]);
        }
        Ok(())
    }
}
