//! `SignalProcess`.

use holm_protocol::agent::messages::{Empty, SignalProcessRequest};
use nix::errno::Errno;

use crate::fault::{At, Fault};
use crate::registry::{Container, Registry};

/// Signals a process, or all of its container.
pub(super) fn signal_process(registry: &Registry, request: &SignalProcessRequest) -> Result<Empty, Fault> {
    if !(1..=libc::SIGRTMAX()).contains(&request.signal) {
        return Err(Fault::invalid(format!("there is no signal {}", request.signal)));
    }
    if request.all {
        signal_all(&*registry.container(&request.process.container_id)?, request.signal)?;
    } else {
        registry
            .process(&request.process.container_id, &request.process.process_id)?
            .signal(request.signal)?;
    }
    Ok(Empty::default())
}

fn signal_all(container: &Container, signal: i32) -> Result<(), Fault> {
    let cgroup = &container.sandbox.cgroup;
    if signal == libc::SIGKILL {
        return cgroup.kill().at("killing all processes");
    }
    for pid in cgroup.pids() {
        // The pid is current: the agent collects what ends, and it is not doing so now.
        match crate::sys::signals::send(pid, signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => return Err(error).at(format_args!("sending signal {signal}")),
        }
    }
    Ok(())
}
