//! `delete`: nothing of a container that has stopped is left; one that runs is killed first when that is demanded.

use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::libc::SIGKILL;

use super::client::Client;
use super::error::OciError;
use super::hooks;
use super::record::Status;
use super::store::OciContainer;

/// Between two looks at whether a supervisor is gone.
const PAUSE: Duration = Duration::from_millis(2);
/// How long one may take to end its VM.
const END_TIMEOUT: Duration = Duration::from_millis(1500);
/// How long the kernel may take to end one that was killed.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// Removes a container. One that was created and not started may be removed without force, as in runc.
///
/// # Errors
/// It runs, or cannot be removed.
pub fn delete(container: &OciContainer, force: bool) -> Result<(), OciError> {
    let record = container.record()?;
    match container.state()?.status {
        Status::Stopped => {}
        Status::Running | Status::Paused if !force => {
            let status = container.state()?.status;
            return Err(OciError::NotStopped { id: container.id.to_string(), status });
        }
        _ => end(container, record.pid)?,
    }
    container.remove()?;
    hooks::run_all("poststop", &record.poststop, &record.state(Status::Stopped));
    Ok(())
}

/// Ends the VM, and the supervisor itself when it does not do that in time: the kernel then ends its VMM.
fn end(container: &OciContainer, pid: u32) -> Result<(), OciError> {
    if !container.is_alive() {
        return Ok(());
    }
    let deadline = Instant::now() + END_TIMEOUT;
    // One that cannot be asked, or takes too long, is killed itself.
    if Client::of(container).kill(SIGKILL, false).is_ok() && is_gone(container, deadline) {
        return Ok(());
    }
    container.kill_supervisor(pid);
    if is_gone(container, Instant::now() + KILL_TIMEOUT) {
        return Ok(());
    }
    Err(OciError::NotStopped { id: container.id.to_string(), status: container.state()?.status })
}

fn is_gone(container: &OciContainer, deadline: Instant) -> bool {
    while container.is_alive() {
        if Instant::now() > deadline {
            return false;
        }
        sleep(PAUSE);
    }
    true
}
