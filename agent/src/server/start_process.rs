//! `StartProcess`.

use holm_protocol::agent::messages::{ProcessRef, StartProcessResponse};

use crate::fault::Fault;
use crate::registry::Registry;

/// Lets a process go; returns once execve succeeded or failed.
pub(super) async fn start_process(
    registry: &Registry,
    request: &ProcessRef,
) -> Result<StartProcessResponse, Fault> {
    registry.process(&request.container_id, &request.process_id)?.start().await?;
    Ok(StartProcessResponse::default())
}
