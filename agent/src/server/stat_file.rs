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
    let path = files::path_of(&layers, &node).unwrap_or_else(|| request.path.clone());
    Ok(StatFileResponse { mode: node.stat().st_mode, path, ..Default::default() })
}
