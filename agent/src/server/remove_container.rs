//! `RemoveContainer`: one container of a guest ends, the others go on.

use std::time::Duration;

use holm_protocol::agent::messages::{Empty, RemoveContainerRequest};
use tokio::time::timeout;

use crate::fault::Fault;
use crate::plug;
use crate::registry::{Container, Registry};
use crate::shared_memory;

/// How long killed processes may take to end. One that takes longer keeps its mounts, but not its unwritten data.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// Kills and forgets a container.
pub(super) async fn remove_container(
    registry: &Registry,
    request: &RemoveContainerRequest,
) -> Result<Empty, Fault> {
    let taken = registry.take(&request.container_id);
    if let Ok(container) = &taken {
        end(container).await;
    }
    shared_memory::remove_of(&request.container_id);
    // Also of a container that could not be made.
    for slot in &request.slots {
        // The host takes the device away all the same.
        if let Err(error) = plug::unplug(*slot) {
            tracing::warn!("cannot take the driver off the device in slot {slot}: {error}");
        }
    }
    taken.map(|_| Empty::default())
}

/// Kills what runs and gives everything back.
pub(super) async fn end(container: &Container) {
    let first = container.first();
    if !first.has_ended() {
        container.sandbox.cgroup.kill().unwrap_or_default();
        if timeout(END_TIMEOUT, first.ended()).await.is_err() {
            tracing::warn!("a killed process does not end");
        }
    }
    container.sandbox.tear_down();
}
