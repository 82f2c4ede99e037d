//! `Transfer`: files of a container to or from the host.
//!
//! A clone of the agent does it: reading and writing files blocks, and the agent has one thread.

use std::os::fd::AsFd;

use holm_protocol::agent::messages::{Empty, TransferRequest};

use crate::child::channel;
use crate::fault::{At, Fault};
use crate::files::{self, Job};
use crate::reaper::Reaper;
use crate::registry::{Registry, check_id};
use crate::sys::clone::{Cloned, clone_process};

/// What a shell adds to the number of a signal that ended a process.
const SIGNALLED: i32 = 128;

/// Carries a transfer out; returns when it has ended.
pub(super) async fn transfer(
    registry: &Registry,
    reaper: &Reaper,
    request: TransferRequest,
) -> Result<Empty, Fault> {
    check_id(&request.transfer_id)?;
    let job = Job::new(request.what)?;
    let layers = registry.layers(&request.container_id)?;
    let stream = registry.transfers().claim(&request.transfer_id).await?;
    let what = "starting a transfer";
    let connection = stream.connection.as_fd().try_clone_to_owned().at(what)?;
    let (mut agent_end, child_end) = channel::pair()?;
    let pid = match clone_process(0, None).at(what)? {
        Cloned::Child => files::run(&job, &layers, connection, stream.early, child_end),
        Cloned::Parent { pid, .. } => pid,
    };
    let ended = reaper.watch(pid);
    // The stream ends when the child closes it, and not before.
    drop((stream, connection, child_end));
    let outcome = agent_end.ready().await;
    drop(agent_end);
    match (outcome, ended.await) {
        (Ok(_), _) => Ok(Empty::default()),
        (Err(_), Ok(ended)) if ended.exit_code > SIGNALLED => {
            Err(Fault::internal(format!("the transfer was killed by signal {}", ended.exit_code - SIGNALLED)))
        }
        (Err(fault), _) => Err(fault),
    }
}
