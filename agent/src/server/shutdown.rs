//! `Shutdown`.

use std::time::Duration;

use holm_protocol::agent::messages::Empty;
use tokio::time::sleep;

use super::remove_container::end;
use crate::boot::power;
use crate::fault::Fault;
use crate::registry::Registry;
use crate::volumes;

/// How long the host has for taking the reply and ending the VM itself.
const REPLY_TIME: Duration = Duration::from_millis(100);

/// Ends what still runs, unmounts and writes back; powers off after the reply.
pub(super) async fn shutdown(registry: &Registry) -> Result<Empty, Fault> {
    for container in registry.drain() {
        end(&container).await;
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
