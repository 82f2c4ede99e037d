//! `ReadUsage`: what `holm stats` shows.

use holm_protocol::agent::messages::{ReadUsageRequest, ReadUsageResponse};

use crate::fault::Fault;
use crate::registry::Registry;

/// Reads what a container uses.
pub(super) fn read_usage(
    registry: &Registry,
    request: &ReadUsageRequest,
) -> Result<ReadUsageResponse, Fault> {
    let usage = registry.container(&request.container_id)?.sandbox.cgroup.usage();
    Ok(ReadUsageResponse {
        cpu_time_us: usage.cpu_time_us,
        memory_bytes: usage.memory_bytes,
        memory_limit_bytes: usage.memory_limit_bytes,
        pids: usage.pids,
        block_read_bytes: usage.block_read_bytes,
        block_written_bytes: usage.block_written_bytes,
        ..Default::default()
    })
}
