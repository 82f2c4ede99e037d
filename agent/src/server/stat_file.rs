//! `StatFile`: what `holm cp` decides by.

use std::path::Path;

use holm_protocol::agent::messages::{StatFileRequest, StatFileResponse};

use crate::fault::Fault;
use crate::files;
use crate::registry::Registry;

/// Tells what a path of a container refers to.
pub(super) fn stat_file(registry: &Registry, request: &StatFileRequest) -> Result<StatFileResponse, Fault> {
    let layers = registry.layers(&request.container_id)?;
    let node = files::find(&layers, Path::new(&request.path), request.follow)?;
    Ok(StatFileResponse { mode: node.stat().st_mode, ..Default::default() })
}
