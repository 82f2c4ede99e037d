//! `UpdateContainer`: other limits.

use holm_protocol::agent::messages::{Empty, UpdateContainerRequest};

use crate::fault::{At, Fault};
use crate::registry::Registry;

/// Rewrites the limits of a container's cgroup.
pub(super) fn update_container(
    registry: &Registry,
    request: &UpdateContainerRequest,
) -> Result<Empty, Fault> {
    let resources =
        serde_json::from_slice(&request.oci_resources_json).refuse("reading the OCI resources")?;
    registry.container(&request.container_id)?.sandbox.cgroup.update(&resources)?;
    Ok(Empty::default())
}
