//! `WaitProcess`.

use holm_protocol::agent::messages::{ProcessRef, WaitProcessResponse};

use crate::container::cgroup::Exhausted;
use crate::fault::Fault;
use crate::registry::Registry;

/// Waits for the end of a process and of its output.
pub(super) async fn wait_process(
    registry: &Registry,
    request: &ProcessRef,
) -> Result<WaitProcessResponse, Fault> {
    let outcome = registry.process(&request.container_id, &request.process_id)?.wait().await?;
    Ok(WaitProcessResponse {
        exit_code: outcome.ended.exit_code,
        oom_killed: outcome.out_of_memory.is_some(),
        vm_exhausted: outcome.out_of_memory == Some(Exhausted::Vm),
        exited_at_unix_ns: outcome.ended.at_unix_ns,
        ..Default::default()
    })
}
