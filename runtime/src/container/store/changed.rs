//! What can change after a container was made. Its record is sealed by its id, so each such setting has a file of its own
//! beside the record, which stands for the record's value once it is there (docs/decisions/0015-mutable-settings.md).

use std::fs;

use super::{Container, ContainerError, write};
use crate::container::settings::RestartPolicy;

impl Container {
    /// The restart policy that holds now.
    #[must_use]
    pub fn restart_policy(&self) -> RestartPolicy {
        let changed = fs::read_to_string(self.directory().join("restart"));
        changed.ok().and_then(|text| text.parse().ok()).unwrap_or(self.record.settings.restart)
    }

    /// Sets another restart policy. A supervisor that runs looks at it when its workload ends.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn set_restart_policy(&self, policy: RestartPolicy) -> Result<(), ContainerError> {
        write(&self.directory().join("restart"), policy.to_string().as_bytes())?;
        self.note("update", &[]);
        Ok(())
    }
}
