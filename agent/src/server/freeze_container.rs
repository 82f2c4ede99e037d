//! `FreezeContainer`: pause and unpause.

use std::time::Duration;

use holm_protocol::agent::messages::{Empty, FreezeContainerRequest};
use tokio::time::{Instant, sleep};

use crate::fault::{At, Fault};
use crate::registry::Registry;

/// A process stops when it next leaves the kernel; one that waits for its disk may take a while.
const LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(2);

/// Stops or continues all processes of a container.
pub(super) async fn freeze_container(
    registry: &Registry,
    request: &FreezeContainerRequest,
) -> Result<Empty, Fault> {
    let container = registry.container(&request.container_id)?;
    let cgroup = &container.sandbox.cgroup;
    cgroup.freeze(request.frozen).at("setting cgroup.freeze")?;
    let begun = Instant::now();
    while cgroup.frozen().at("reading cgroup.events")? != request.frozen {
        if begun.elapsed() > LIMIT {
            cgroup.freeze(false).at("setting cgroup.freeze")?;
            return Err(Fault::internal(format!("the processes did not stop within {} s", LIMIT.as_secs())));
        }
        sleep(PAUSE).await;
    }
    if request.sync {
        nix::unistd::sync();
    }
    Ok(Empty::default())
}
