//! A supervisor for the files of a container that does not run: a VM over its image and layer in which nothing of the
//! workload runs, for as long as a client stays.
//!
//! ```text
//!   boot VM ──> agent connects ──> mount the root ──> (clients: stat, transfers) ──> last client gone: layer synced, VM ended
//! ```
//!
//! It holds the container's lock, and its socket has a name of its own: the container's state stays what it is.

use std::os::unix::net::UnixListener;

use super::error::SupervisorError;
use super::protocol::Report;
use super::run::Supervisor;
use crate::container::ContainerId;
use crate::durable::{self, Durability};
use crate::file_error::failed;
use crate::image::ImageStore;
use crate::sandbox::{AgentClient, HostAccess, IMAGE_DISK, WRITABLE_DISK};

/// Serves a container's files until nobody wants them any more. `listener` and the lock are as for [`super::run()`].
///
/// # Errors
/// What kept it from serving; clients have been told.
pub fn serve_files(id: ContainerId, listener: UnixListener) -> Result<(), SupervisorError> {
    let mut supervisor = Supervisor::new(id, listener)?;
    let result = supervisor.serve();
    supervisor.end_serving(result)
}

impl Supervisor {
    fn serve(&mut self) -> Result<(), SupervisorError> {
        let image =
            ImageStore::open(self.store.directories().root())?.resolve(&self.container.record.image_id)?;
        let settings = self.container.settings()?;
        self.make_layer(Durability::Lasting)?;
        self.boot(&settings, image.rootfs()?.segments, HostAccess::default())?;
        let connection = self.await_agent()?;
        let agent = AgentClient::new(connection, self.container.id.as_str())?;
        self.vm.agent = Some(agent.clone());
        self.settle_template(&agent);
        holm_faults::crash!("supervisor.files.agent-called");
        agent.mount_container(IMAGE_DISK, WRITABLE_DISK, &self.told())?;
        self.vm.has_files = true;
        self.serves_files = true;
        holm_faults::crash!("supervisor.files.mounted");
        self.clients.tell(&Report::Started);
        // The command line that started this process has connected, or died before it could.
        while !self.clients.is_empty() {
            let event = self.events.recv().map_err(|_| SupervisorError::Abandoned)?;
            self.handle(event)?;
        }
        Ok(())
    }

    fn end_serving(mut self, result: Result<(), SupervisorError>) -> Result<(), SupervisorError> {
        // Who comes now is not told that it can begin, and finds a supervisor of its own after this one.
        self.serves_files = false;
        self.vm.has_files = false;
        if result.is_ok() {
            self.shut_down();
        }
        self.kill();
        holm_faults::crash!("supervisor.files.ending");
        // Nobody may have the lock while the VMM can still write to the layer.
        self.hear_last_words();
        if let Err(error) = &result {
            self.clients.tell(&Report::Failed { code: error.exit_code(), message: error.message() });
        }
        let directory = self.run_directory();
        durable::remove(&directory).map_err(failed("write", &directory))?;
        holm_faults::crash!("supervisor.files.ended");
        self.clients.close();
        result
    }
}
