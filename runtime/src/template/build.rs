//! `holm template build`: a VM that boots for nothing but its template.

use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, Sender};

use super::settle::{MakeError, make};
use super::{Draft, TemplateError, TemplateStore};
use crate::host::{Directories, Installation, InstallationError};
use crate::sandbox::{
    AgentClient, AgentError, BOOT_TIMEOUT, BootError, BootEvents, HostAccess, Sandbox, Start, StartFrom,
    VmShape, VmmEnd,
};

/// Why there is no template.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Something of Holm is missing.
    #[error(transparent)]
    Installation(#[from] InstallationError),
    /// The key, or the place for it.
    #[error(transparent)]
    Store(#[from] TemplateError),
    /// Somebody else has the place.
    #[error("another template is being made: try again when it is there")]
    Busy,
    /// This host's KVM was found to have no use for it.
    #[error("VMs of this host boot: {0} ('holm template prune' has the next start try again)")]
    Refused(String),
    /// Not a VM for templates.
    #[error("with HOLM_CONSOLE set, VMs boot, and are no templates")]
    Console,
    /// The VM.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// It ended.
    #[error("the VM ended before its agent called: {0}")]
    Ended(String),
    /// It hangs.
    #[error("the guest's agent did not call within {0} s")]
    Timeout(u64),
    /// Its agent.
    #[error("cannot speak to the guest's agent")]
    Agent(#[from] AgentError),
    /// It is there, and not saved.
    #[error(transparent)]
    Make(#[from] MakeError),
}

#[derive(Debug)]
enum Event {
    Called(UnixStream),
    Ended(VmmEnd),
}

#[derive(Clone)]
struct Events(Sender<Event>);

impl BootEvents for Events {
    fn agent_connected(&self, connection: UnixStream) {
        // A closed channel means that nobody waits any more.
        let _ = self.0.send(Event::Called(connection));
    }

    fn vmm_ended(&self, end: VmmEnd) {
        let _ = self.0.send(Event::Ended(end));
    }
}

/// The name of the template from which VMs of this size start; it is made if there is none.
///
/// # Errors
/// It cannot be made; nothing is left then.
pub fn build(
    installation: &Installation,
    directories: &Directories,
    shape: VmShape,
) -> Result<String, BuildError> {
    installation.check()?;
    let store = TemplateStore::new(directories);
    let key = match Start::of(&store, installation, shape) {
        Start::From(template) => return Ok(template.name),
        Start::First(key) => key,
        Start::Cold | Start::Checkpoint(_) => {
            return Err(BuildError::Refused(store.refusal().unwrap_or_default()));
        }
    };
    let name = key.name();
    let Some(draft) = store.begin(key)? else { return Err(BuildError::Busy) };
    let directory = draft.vm_directory()?;
    let (sender, events) = mpsc::channel();
    let sandbox = Sandbox::boot(
        installation,
        StartFrom::Templates(&store),
        shape,
        Vec::new(),
        Vec::new(),
        HostAccess::default(),
        &directory,
        Events(sender),
    )?;
    let saved = save(draft, &sandbox, &events);
    sandbox.vmm.kill();
    while !matches!(events.recv(), Ok(Event::Ended(_)) | Err(_)) {}
    saved.map(|()| name)
}

fn save(draft: Draft, sandbox: &Sandbox, events: &Receiver<Event>) -> Result<(), BuildError> {
    // One whose kernel is listened to boots, whatever it may start from.
    if !matches!(sandbox.start, Start::First(_)) {
        return Err(BuildError::Console);
    }
    let agent = AgentClient::new(called(events)?, "")?;
    Ok(make(draft, &agent, &sandbox.vmm.control)?)
}

fn called(events: &Receiver<Event>) -> Result<UnixStream, BuildError> {
    match events.recv_timeout(BOOT_TIMEOUT) {
        Ok(Event::Called(connection)) => Ok(connection),
        Ok(Event::Ended(end)) => Err(BuildError::Ended(end.reason)),
        Err(_) => Err(BuildError::Timeout(BOOT_TIMEOUT.as_secs())),
    }
}
