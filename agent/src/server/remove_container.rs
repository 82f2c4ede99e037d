//! `RemoveContainer`: one container of a guest ends, the others go on.

use std::time::Duration;

use holm_protocol::agent::messages::{Empty, RemoveContainerRequest};
use tokio::time::timeout;

use crate::fault::Fault;
use crate::registry::{Container, Registry};
use crate::shared_memory;

/// How long killed processes may take to end. One that takes longer keeps its mounts, but not its unwritten data.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// Kills and forgets a container.
pub(super) async fn remove_container(
    registry: &Registry,
    request: &RemoveContainerRequest,
) -> Result<Empty, Fault> {
    end(&*registry.take(&request.container_id)?).await;
    shared_memory::remove_of(&request.container_id);
    Ok(Empty::default())
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
