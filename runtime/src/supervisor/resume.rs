//! A life that begins with a checkpoint: `holm start --checkpoint`, and the second half of `holm fork`.
//!
//! ```text
//!   layer put beside the container's ──> VM goes on ──> agent dials ──> guest made its own: entropy, time, hostname
//!      ──> networks of the checkpoint out, those of now in ──> layer is the container's ──> streams ──> processes thawed
//! ```
//!
//! Until the layer is the container's, a failure leaves the container as it was.

use std::fs;
use std::mem::take;
use std::path::PathBuf;
use std::sync::Arc;

use holm_protocol::vm_config::SegmentConfig;

use super::error::SupervisorError;
use super::net::{GuestNetworks, lock};
use super::run::Supervisor;
use crate::checkpoint::{Checkpoint, CheckpointPlace, Checkpoints};
use crate::container::{Container, ContainerError};
use crate::durable;
use crate::file_error::failed;
use crate::host::Installation;
use crate::sandbox::{AgentClient, HostAccess, NetworkChange, StartFrom, VmNetwork, template_platform};

/// What is needed on the way.
pub(super) struct Resume {
    checkpoint: Checkpoint,
    /// Networks that are plugged in when the VM runs.
    networks: Vec<VmNetwork>,
    layer: NextLayer,
}

/// A layer that is removed unless it becomes the container's.
struct NextLayer(PathBuf);

impl Resume {
    /// What the guest calls the container.
    pub(super) fn guest_id(&self) -> &str {
        &self.checkpoint.about.guest_id
    }
}

impl Supervisor {
    /// Looks the checkpoint up, if there is one to go on from, and takes the networks, which come later.
    pub(super) fn begin_resuming(
        &mut self,
        host: &mut HostAccess,
    ) -> Result<Option<Resume>, SupervisorError> {
        let Some(CheckpointPlace { name, directory }) = self.goes_on_from.take() else { return Ok(None) };
        let platform = template_platform(&Installation::find()?).map_err(SupervisorError::Platform)?;
        let checkpoint = Checkpoints::at(&self.container, directory.as_deref()).open(&name, &platform)?;
        let layer = NextLayer::restored(&checkpoint, &self.container)?;
        holm_faults::crash!("resume.layer.restored");
        Ok(Some(Resume { checkpoint, networks: take(&mut host.networks), layer }))
    }

    pub(super) fn boot_resumed(
        &mut self,
        resume: &Resume,
        image_segments: Vec<SegmentConfig>,
        host: HostAccess,
    ) -> Result<(), SupervisorError> {
        let settings = self.container.settings()?;
        let from = StartFrom::Checkpoint(resume.checkpoint.config());
        self.boot_from(from, &settings, resume.checkpoint.about.shape, &resume.layer.0, image_segments, host)
    }

    /// Makes the guest that went on this container's. Its processes are still frozen.
    pub(super) fn resume(
        &mut self,
        resume: Resume,
        agent: &AgentClient,
        hostname: &str,
        networks: &GuestNetworks,
    ) -> Result<(), SupervisorError> {
        holm_faults::crash!("resume.agent-called");
        let about = &resume.checkpoint.about;
        agent.resume_container(hostname, &networks.files)?;
        let control = self.vm.sandbox.as_ref().map(|sandbox| Arc::clone(&sandbox.vmm.control));
        let control = control.ok_or(SupervisorError::Abandoned)?;
        for slot in &about.network_slots {
            agent.disconnect_network(*slot, &NetworkChange::default())?;
            control.remove_device(*slot)?;
        }
        let mut serve_names = networks.serve_names && !about.serves_names;
        let joined = resume.networks.into_iter().zip(&networks.interfaces);
        for (index, (network, interface)) in joined.enumerate() {
            let place = control.add_network(network.link, network.device)?;
            if let Some(networking) = &self.vm.network
                && let Some(joined) = lock(&networking.networks).attachment.joined_mut().get_mut(index)
            {
                joined.slot = place.slot;
            }
            let change = NetworkChange { serve_names: take(&mut serve_names), ..NetworkChange::default() };
            agent.connect_network(place, interface, &change)?;
        }
        resume.layer.keep(&self.container)?;
        holm_faults::crash!("resume.layer.kept");
        resume.checkpoint.used();
        Ok(())
    }
}

impl NextLayer {
    fn restored(checkpoint: &Checkpoint, container: &Container) -> Result<Self, SupervisorError> {
        let path = container.next_layer();
        // Of a start that was killed.
        durable::remove(&path).map_err(failed("write", &path))?;
        checkpoint.restore_layer(&path)?;
        Ok(Self(path))
    }

    /// Makes it the container's, instead of the one that it had.
    fn keep(self, container: &Container) -> Result<(), ContainerError> {
        let path = container.layer();
        let kept = holm_faults::fault!("resume.layer.rename")
            .and_then(|()| fs::rename(&self.0, &path))
            .and_then(|()| durable::sync_directory(container.directory()));
        Ok(kept.map_err(failed("write", &path))?)
    }
}

impl Drop for NextLayer {
    fn drop(&mut self) {
        // Gone already if it was kept.
        if let Err(error) = durable::remove(&self.0) {
            tracing::warn!(%error, "a layer was left behind");
        }
    }
}
