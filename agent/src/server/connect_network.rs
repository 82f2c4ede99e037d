//! `ConnectNetwork`.

use std::slice;

use holm_protocol::agent::messages::{ConnectNetworkRequest, Empty};
use nix::sched::CloneFlags;

use crate::container::injected_files;
use crate::container::interface::Interfaces;
use crate::fault::{At, Fault};
use crate::registry::Registry;
use crate::sys::namespaces;
use crate::{names, plug};

/// Gives a running container one more interface.
pub(super) fn connect_network(registry: &Registry, request: &ConnectNetworkRequest) -> Result<Empty, Fault> {
    let container = registry.container(&request.container_id)?;
    let first = container.first();
    plug::plug(&request.device).at("finding the new device")?;
    let set_up = Interfaces::find(slice::from_ref(&*request.interface)).and_then(|interfaces| {
        namespaces::within(first.pidfd(), CloneFlags::CLONE_NEWNET, || Ok(interfaces.set_up()))
            .at("entering the container's network")?
    });
    if let Err(fault) = set_up {
        // The failure that is known is the one to tell.
        let _ = plug::unplug(request.device.slot);
        return Err(fault);
    }
    injected_files::update(&container.sandbox.files, &request.files)?;
    if request.serve_names {
        names::serve(first.pidfd())?;
    }
    Ok(Empty::default())
}
