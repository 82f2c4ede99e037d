//! `MountContainer`.

use holm_protocol::agent::messages::{Empty, MountContainerRequest};

use crate::awaken::awaken;
use crate::fault::Fault;
use crate::registry::{Registry, check_id};
use crate::rootfs::Rootfs;

/// Mounts the root of a container that does not run.
pub(super) fn mount_container(registry: &Registry, request: MountContainerRequest) -> Result<Empty, Fault> {
    check_id(&request.container_id)?;
    if registry.layers(&request.container_id).is_ok() {
        return Err(Fault::precondition(format!("container {:?} exists already", request.container_id)));
    }
    awaken(&request.awakening)?;
    let rootfs = Rootfs::mount(&request.container_id, &request.rootfs, &[])?;
    registry.add_root(request.container_id, rootfs);
    Ok(Empty::default())
}
