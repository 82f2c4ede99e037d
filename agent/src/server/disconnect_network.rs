//! `DisconnectNetwork`.

use holm_protocol::agent::messages::{DisconnectNetworkRequest, Empty};
use nix::sched::CloneFlags;

use crate::container::injected_files;
use crate::container::interface::gateway;
use crate::fault::{At, Fault};
use crate::plug;
use crate::registry::Registry;
use crate::sys::{namespaces, network};

/// Takes an interface away from a running container.
pub(super) fn disconnect_network(
    registry: &Registry,
    request: &DisconnectNetworkRequest,
) -> Result<Empty, Fault> {
    let container = registry.container(&request.container_id)?;
    plug::unplug(request.slot).at("taking a device away")?;
    let (ipv4, ipv6) = (gateway(&request.gateway)?, gateway(&request.gateway6)?);
    if ipv4.is_some() || ipv6.is_some() {
        namespaces::within(container.first().pidfd(), CloneFlags::CLONE_NEWNET, || {
            ipv4.map_or(Ok(()), network::add_default_route)?;
            ipv6.map_or(Ok(()), network::add_default_route6)
        })
        .at("setting the default route")?;
    }
    injected_files::update(&container.sandbox.files, &request.files)?;
    Ok(Empty::default())
}
