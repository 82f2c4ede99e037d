//! `Shutdown`.

use std::time::Duration;

use holm_protocol::agent::messages::Empty;
use tokio::time::{sleep, timeout};

use crate::boot::power;
use crate::fault::Fault;
use crate::registry::Registry;
use crate::volumes;

/// How long killed processes may take to end. One that takes longer keeps its mounts, but not its unwritten data.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the host has for taking the reply and ending the VM itself.
const REPLY_TIME: Duration = Duration::from_millis(100);

/// Ends what still runs, unmounts and writes back; powers off after the reply.
pub(super) async fn shutdown(registry: &Registry) -> Result<Empty, Fault> {
    for container in registry.drain() {
        let first = container.first();
        if !first.has_ended() {
            container.sandbox.cgroup.kill().unwrap_or_default();
            if timeout(END_TIMEOUT, first.ended()).await.is_err() {
                tracing::warn!("a killed process does not end");
            }
        }
        container.sandbox.tear_down();
    }
    for mut rootfs in registry.drain_roots() {
        rootfs.unmount();
    }
    nix::unistd::sync();
    volumes::settle();
    tokio::spawn(async {
        sleep(REPLY_TIME).await;
        power::off();
    });
    Ok(Empty::default())
}
