//! `ResumeContainer`.

use holm_protocol::agent::messages::{Empty, ResumeContainerRequest};
use nix::sched::CloneFlags;
use nix::unistd::sethostname;

use crate::awaken::awaken;
use crate::container::injected_files;
use crate::fault::{At, Fault};
use crate::registry::Registry;
use crate::sys::namespaces;

/// Makes a container of a guest that went on from a checkpoint what the host says it is.
pub(super) fn resume_container(
    registry: &Registry,
    request: &ResumeContainerRequest,
) -> Result<Empty, Fault> {
    let container = registry.container(&request.container_id)?;
    awaken(&request.awakening)?;
    container.end_others();
    let first = container.first();
    namespaces::within(first.pidfd(), CloneFlags::CLONE_NEWUTS, || Ok(sethostname(&request.hostname)?))
        .at("setting the hostname")?;
    injected_files::update(&container.sandbox.files, &request.files)?;
    Ok(Empty::default())
}
