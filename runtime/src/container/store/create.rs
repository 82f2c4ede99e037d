//! Making a container: all of it or nothing, whenever the maker is killed.
//!
//! ```text
//!   (mark) ──> .new-<id>/ (locked by its maker) ──record, state, name──> renamed to <id>/
//! ```

use std::fs;

use super::names::write_error;
use super::{Container, ContainerStore, NAME_ATTEMPTS, NEW};
use crate::container::{ContainerError, ContainerName, Record, State};
use crate::durable::{self, Durability};
use crate::file_error::damaged;
use crate::host::create_private_directory;

impl ContainerStore {
    /// Takes the name and writes the record and the first state. `name` is made up when it is `None`; the record's own
    /// name is replaced by the one that was taken.
    ///
    /// # Errors
    /// When the name is taken or a file cannot be written; nothing is left then.
    pub fn create(
        &self,
        mut record: Record,
        name: Option<ContainerName>,
    ) -> Result<Container, ContainerError> {
        self.sweep();
        let (name, given) = match name {
            Some(name) => (name, true),
            None => (record.name.clone(), false),
        };
        for number in 0..NAME_ATTEMPTS {
            record.name = if number == 0 { name.clone() } else { name.numbered(number) };
            match self.try_create(&record) {
                Err(ContainerError::NameTaken { .. }) if !given => {}
                made => return made.inspect(|container| container.note("create", &[])),
            }
        }
        Err(ContainerError::NameTaken { name, owner: "several".to_owned() })
    }

    fn try_create(&self, record: &Record) -> Result<Container, ContainerError> {
        let containers = self.directories().containers();
        let (id, bytes) = record.seal().map_err(damaged(&containers))?;
        let directory = containers.join(format!("{NEW}{id}"));
        let mut container = Container { directory, id, record: record.clone(), name: record.name.clone() };
        let made = self.make(&container, &bytes);
        if made.is_err() {
            // The first failure is the one to tell.
            let _ = durable::remove(&container.directory).map(|()| self.unmark_if_marked(&container));
        }
        container.directory = made?;
        Ok(container)
    }

    fn make(&self, container: &Container, record: &[u8]) -> Result<std::path::PathBuf, ContainerError> {
        let durability = container.record.settings.durability();
        let _lock = {
            // Nobody sweeps while this is held, so nobody sees the directory without its lock.
            let _names = self.lock_names()?;
            if durability == Durability::OneLife {
                self.mark(&container.id)?;
            }
            holm_faults::crash!("container.create.marked");
            holm_faults::fault!("container.create.directory")
                .map_err(|source| write_error(&container.directory, source))?;
            create_private_directory(&container.directory)?;
            holm_faults::crash!("container.create.unlocked");
            container.try_lock()?
        };
        let path = container.directory.join("record.json");
        holm_faults::fault!("container.create.record")
            .and_then(|()| durable::place(&path, record, durability))
            .map_err(|source| write_error(&path, source))?;
        // Syncs the directory as well.
        holm_faults::crash!("container.create.recorded");
        container.write_state(&State::default())?;
        let containers = self.directories().containers();
        let made = containers.join(container.id.as_str());
        let names = self.lock_names()?;
        names.take(container)?;
        holm_faults::crash!("container.create.named");
        holm_faults::fault!("container.create.rename")
            .and_then(|()| fs::rename(&container.directory, &made))
            .map_err(|source| write_error(&made, source))?;
        holm_faults::fault!("container.create.sync")
            .and_then(|()| durability.sync_directory(&containers))
            .map_err(|source| write_error(&containers, source))?;
        holm_faults::crash!("container.create.made");
        Ok(made)
    }
}
