//! The shim itself: serves the task API until its last task was deleted and containerd tells it to go.

use std::fs::File;
use std::os::fd::{AsFd, IntoRawFd};
use std::sync::{Arc, mpsc};

use anyhow::{Context, Result};
use containerd_shim_protos::create_task;
use ttrpc::Server;

use crate::address::Address;
use crate::command_line::CommandLine;
use crate::events::Publisher;
use crate::service::Service;

/// containerd's ttrpc socket, of which it tells so.
const EVENTS_ADDRESS: &str = "TTRPC_ADDRESS";

/// Serves at the socket that is standard input.
pub(crate) fn serve(words: &CommandLine) -> Result<()> {
    let listener = std::io::stdin().as_fd().try_clone_to_owned().context("cannot use the socket")?;
    let null = File::open("/dev/null").context("cannot open /dev/null")?;
    rustix::stdio::dup2_stdin(&null).context("cannot give up standard input")?;
    let events =
        Publisher::to(std::env::var(EVENTS_ADDRESS).ok().filter(|it| !it.is_empty()), &words.namespace);
    holm_faults::crash!("shim.serve.begin");
    let (end, ended) = mpsc::channel();
    let service = Arc::new(Service::new(events.clone(), words.debug, end));
    let methods = create_task(service).into_iter().map(|(path, method)| (second_version(&path), method));
    let mut server = Server::new()
        .add_listener(listener.into_raw_fd())
        .context("cannot listen")?
        .register_service(methods.collect());
    server.start().context("cannot serve")?;
    // It ends when it is told to, and never by itself.
    let _ = ended.recv();
    holm_faults::crash!("shim.serve.ended");
    events.finish();
    let address = Address::of(&words.address, &words.namespace, &words.id);
    address.remove().context("cannot remove the socket")
}

/// The third version of the API is the second under another name; every containerd since 1.2 speaks the second, and takes a shim
/// that prints no more than an address for one that does.
fn second_version(path: &str) -> String {
    path.replacen("containerd.task.v3.Task", "containerd.task.v2.Task", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_have_the_names_that_containerd_knows() {
        let (end, _ended) = mpsc::channel();
        let service = Arc::new(Service::new(Publisher::to(None, "default"), false, end));
        let mut paths: Vec<String> = create_task(service).keys().map(|path| second_version(path)).collect();
        paths.sort();
        assert_eq!(paths.len(), 17);
        assert_eq!(paths[0], "/containerd.task.v2.Task/Checkpoint");
    }
}
