//! What the agent knows: containers, and the processes in them.
//!
//! ```text
//! created --StartProcess--> running --> ended
//!    '------killed, or the program cannot be executed---^
//! ```

mod container;
mod process;
mod transfers;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use container::{Container, Sandbox};
pub(crate) use process::Process;
pub(crate) use transfers::{TransferStream, Transfers};

use crate::fault::Fault;
use crate::files::Layers;
use crate::rootfs::Rootfs;

/// All containers by id.
#[derive(Default)]
pub(crate) struct Registry {
    containers: Mutex<HashMap<String, Arc<Container>>>,
    /// Of containers in which nothing runs.
    roots: Mutex<HashMap<String, Rootfs>>,
    transfers: Transfers,
}

impl Registry {
    /// A container.
    pub(crate) fn container(&self, id: &str) -> Result<Arc<Container>, Fault> {
        let containers = self.containers.lock().unwrap_or_else(PoisonError::into_inner);
        containers.get(id).cloned().ok_or_else(|| Fault::not_found(format!("there is no container {id:?}")))
    }

    /// A container's process; an empty id is its first one.
    pub(crate) fn process(&self, container_id: &str, process_id: &str) -> Result<Arc<Process>, Fault> {
        let container = self.container(container_id)?;
        if process_id.is_empty() { Ok(container.first()) } else { container.process(process_id) }
    }

    /// Adds a container.
    pub(crate) fn add(&self, id: String, container: Arc<Container>) {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner).insert(id, container);
    }

    /// Adds a container that is only files.
    pub(crate) fn add_root(&self, id: String, rootfs: Rootfs) {
        self.roots.lock().unwrap_or_else(PoisonError::into_inner).insert(id, rootfs);
    }

    /// Where a container's files are.
    pub(crate) fn layers(&self, id: &str) -> Result<Layers, Fault> {
        let roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rootfs) = roots.get(id) {
            return Ok(rootfs.layers());
        }
        let container = self.container(id)?;
        let rootfs = container.sandbox.rootfs.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(rootfs.layers())
    }

    /// Streams of transfers that have not begun.
    pub(crate) fn transfers(&self) -> &Transfers {
        &self.transfers
    }

    /// Takes all containers that are only files out.
    pub(crate) fn drain_roots(&self) -> Vec<Rootfs> {
        let mut roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        roots.drain().map(|(_, rootfs)| rootfs).collect()
    }

    /// Takes a container out.
    pub(crate) fn take(&self, id: &str) -> Result<Arc<Container>, Fault> {
        let mut containers = self.containers.lock().unwrap_or_else(PoisonError::into_inner);
        containers.remove(id).ok_or_else(|| Fault::not_found(format!("there is no container {id:?}")))
    }

    /// Takes all containers out.
    pub(crate) fn drain(&self) -> Vec<Arc<Container>> {
        let mut containers = self.containers.lock().unwrap_or_else(PoisonError::into_inner);
        containers.drain().map(|(_, container)| container).collect()
    }
}

/// Refuses ids that could be anything but one name in a path and one field of a stream's header.
pub(crate) fn check_id(id: &str) -> Result<(), Fault> {
    const MAX_ID_BYTES: usize = 80;
    let well_formed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if id.is_empty() || id.len() > MAX_ID_BYTES || !id.bytes().all(well_formed) || id.starts_with(['.', '-'])
    {
        return Err(Fault::invalid(format!("malformed id {id:?}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_plain_names() {
        for good in ["a", "0f3", "box_1.2-x", &"a".repeat(64)] {
            check_id(good).unwrap();
        }
        for bad in ["", ".", "..", "-", "a/b", "a b", "a\n", &"a".repeat(81)] {
            assert!(check_id(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let registry = Registry::default();
        let fault = registry.process("box", "").err().unwrap();
        assert_eq!(fault.kind, crate::fault::FaultKind::NotFound);
    }
}
