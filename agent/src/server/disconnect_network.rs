//! `DisconnectNetwork`.

use holm_protocol::agent::messages::{DisconnectNetworkRequest, Empty};

use crate::container::injected_files;
use crate::container::interface::address;
use crate::fault::{At, Fault};
use crate::plug;
use crate::registry::Registry;
use crate::sys::{net_namespace, network};

/// Takes an interface away from a running container.
pub(super) fn disconnect_network(
    registry: &Registry,
    request: &DisconnectNetworkRequest,
) -> Result<Empty, Fault> {
    let container = registry.container(&request.container_id)?;
    plug::unplug(request.slot).at("taking a device away")?;
    if !request.gateway.is_empty() {
        let gateway = address(&request.gateway)?;
        net_namespace::within(container.first().pidfd(), || network::add_default_route(gateway))
            .at("setting the default route")?;
    }
    injected_files::update(&container.sandbox.files, &request.files)?;
    Ok(Empty::default())
}
